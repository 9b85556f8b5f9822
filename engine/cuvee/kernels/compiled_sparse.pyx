# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Steps over sparse matrices of large catalogues, compiled; they hold no interpreter lock and check no shapes."""

from libc.math cimport NAN
from libc.stdlib cimport malloc, free

ctypedef long long offset_t

ctypedef fused index_t:
    int
    long long

cdef enum:
    BUCKETS = 2048


cdef inline bint _behind(float s, int item, float than, int other) noexcept nogil:
    """Whether an item stands behind another one: lower, or as high and of a higher position."""
    return s < than or (s == than and item > other)


cdef void _sift(float* scores, int* items, int at, int n) noexcept nogil:
    """Restore a heap with the worst at its root, from one place downwards."""
    cdef int child
    cdef float score = scores[at]
    cdef int item = items[at]
    while True:
        child = 2 * at + 1
        if child >= n:
            break
        if child + 1 < n and _behind(scores[child + 1], items[child + 1], scores[child], items[child]):
            child += 1
        if not _behind(scores[child], items[child], score, item):
            break
        scores[at], items[at] = scores[child], items[child]
        at = child
    scores[at], items[at] = score, item


cdef void _build(float* scores, int* items, int n) noexcept nogil:
    cdef int at
    for at in range(n // 2 - 1, -1, -1):
        _sift(scores, items, at, n)


cdef int _accumulate(const offset_t* offsets, const int* items, const float* impacts, const int* terms,
                     const float* weights, int count, float* sums, int* touched) noexcept nogil:
    """Add up what the postings of some features say; how many items they name. Everything is above 0."""
    cdef int t, item, m = 0
    cdef offset_t p
    cdef float weight
    for t in range(count):
        weight = weights[t]
        for p in range(offsets[terms[t]], offsets[terms[t] + 1]):
            item = items[p]
            if sums[item] == 0:
                touched[m] = item
                m += 1
            sums[item] += weight * impacts[p]
    return m


cdef inline void _swap(int* items, int i, int j) noexcept nogil:
    cdef int item = items[i]
    items[i] = items[j]
    items[j] = item


cdef int _largest(const float* sums, int* items, int m, int kept) noexcept nogil:
    """Move the ``kept`` items of the largest sums to the front; how many these are.

    Sums are put into buckets of equal width. Of the last bucket that has room for some, those that come first are
    taken: which of almost equal ones are taken is of no account here.
    """
    cdef int i, bucket, above = 0, room, n = 0
    cdef int counts[BUCKETS]
    cdef float low, high, scale
    if m <= kept:
        return m
    low = high = sums[items[0]]
    for i in range(m):
        low = min(low, sums[items[i]])
        high = max(high, sums[items[i]])
    if high <= low:
        return kept
    scale = (BUCKETS - 1) / (high - low)
    for i in range(BUCKETS):
        counts[i] = 0
    for i in range(m):
        counts[<int> ((sums[items[i]] - low) * scale)] += 1
    bucket = BUCKETS - 1
    while bucket > 0 and above + counts[bucket] < kept:
        above += counts[bucket]
        bucket -= 1
    room = kept - above
    for i in range(m):
        if <int> ((sums[items[i]] - low) * scale) > bucket:
            _swap(items, i, n)
            n += 1
        elif room > 0 and <int> ((sums[items[i]] - low) * scale) == bucket:
            room -= 1
            _swap(items, i, n)
            n += 1
    return n


def search(const offset_t[::1] offsets, const int[::1] items, const float[::1] impacts,
           const index_t[::1] indptr, const int[::1] indices, const float[::1] data,
           const float[:, ::1] users, const int[::1] starts, const int[::1] terms, const float[::1] weights,
           const unsigned char[:] eligible, const offset_t[:] excluded, const int[:] hidden, const int[:] only,
           int kept, float[::1] sums, int[::1] touched, unsigned char[::1] out,
           int[:, ::1] found, float[:, ::1] scores):
    """Row b reads the postings of ``terms[starts[b]:starts[b + 1]]``; where ``only`` is given, the items in it are
    scored instead. ``sums`` and ``out``, one for each item, are 0 before and after; ``touched`` is room."""
    cdef Py_ssize_t b, e
    cdef int n = <int> (indptr.shape[0] - 1), k = <int> found.shape[1]
    cdef int i, j, m, size, item
    cdef index_t p
    cdef double whole
    cdef float score
    cdef float* heap
    cdef int* heaped
    if k == 0:
        return
    with nogil:
        heap = <float*> malloc(k * sizeof(float))
        heaped = <int*> malloc(k * sizeof(int))
        if heap == NULL or heaped == NULL:
            free(heap)
            free(heaped)
            with gil:
                raise MemoryError()
        for b in range(users.shape[0]):
            if excluded is not None:
                for e in range(excluded[b], excluded[b + 1]):
                    if 0 <= hidden[e] < n:
                        out[hidden[e]] = 1
            if only is not None:
                m = <int> only.shape[0]
                for i in range(m):
                    touched[i] = only[i]
            elif starts[b + 1] > starts[b]:
                m = _accumulate(&offsets[0], &items[0], &impacts[0], &terms[starts[b]], &weights[starts[b]],
                                starts[b + 1] - starts[b], &sums[0], &touched[0])
            else:
                m = 0
            size = 0
            for i in range(m):
                item = touched[i]
                if out[item] or (eligible is not None and not eligible[item]):
                    sums[item] = 0
                else:
                    touched[size] = item
                    size += 1
            m = size
            if only is None:
                size = _largest(&sums[0], &touched[0], m, kept)
            j = 0
            for i in range(size):
                item = touched[i]
                whole = 0
                for p in range(indptr[item], indptr[item + 1]):
                    whole += <double> data[p] * users[b, indices[p]]
                score = <float> whole
                if j < k:
                    heap[j], heaped[j] = score, item
                    j += 1
                    if j == k:
                        _build(heap, heaped, k)
                elif _behind(heap[0], heaped[0], score, item):
                    heap[0], heaped[0] = score, item
                    _sift(heap, heaped, 0, k)
            for i in range(m):
                sums[touched[i]] = 0
            if excluded is not None:
                for e in range(excluded[b], excluded[b + 1]):
                    if 0 <= hidden[e] < n:
                        out[hidden[e]] = 0
            if j < k:
                _build(heap, heaped, j)
            for i in range(j, k):
                found[b, i], scores[b, i] = -1, NAN
            while j > 0:
                j -= 1
                found[b, j], scores[b, j] = heaped[0], heap[0]
                heap[0], heaped[0] = heap[j], heaped[j]
                _sift(heap, heaped, 0, j)
        free(heap)
        free(heaped)


cdef inline float _dot(const float* a, const float* b, Py_ssize_t d) noexcept nogil:
    """In eight sums, which the compiler can keep in vector registers without reordering any."""
    cdef float sums[8]
    cdef Py_ssize_t j, t
    cdef float rest = 0
    for t in range(8):
        sums[t] = 0
    for j in range(d // 8):
        for t in range(8):
            sums[t] += a[8 * j + t] * b[8 * j + t]
    for j in range(d - d % 8, d):
        rest += a[j] * b[j]
    return ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7])) + rest


def sampled_products(const index_t[::1] indptr, const int[::1] indices, const float[:, ::1] left,
                     const float[:, ::1] right, float[::1] out):
    """``out[p]``: row i of left times row j of right, for the p-th entry (i, j)."""
    cdef Py_ssize_t i, d = left.shape[1]
    cdef index_t p
    if not d or not out.shape[0]:
        out[:] = 0
        return
    with nogil:
        for i in range(indptr.shape[0] - 1):
            for p in range(indptr[i], indptr[i + 1]):
                out[p] = _dot(&left[i, 0], &right[indices[p], 0], d)
