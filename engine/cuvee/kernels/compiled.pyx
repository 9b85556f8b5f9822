# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Loops over small arrays, compiled; they hold no interpreter lock. :mod:`cuvee.kernels` is their face.

Nothing here checks shapes: the wrappers do. What comes from a plugin (items, scores) is checked here
where it is read, since an item outside the catalogue would be a read outside an array.
"""

from libc.math cimport exp2, sqrt, INFINITY, NAN
from libc.stdlib cimport calloc, malloc, free
from libc.string cimport memcpy, memset

ctypedef long long offset_t

ctypedef fused index_t:
    int
    long long

ctypedef fused value_t:
    int
    float


cdef extern from *:
    """
    /* Inner loops, compiled twice where the compiler can: for any processor, and for one with AVX2, which is chosen when
       the library is loaded. Neither form contracts a product and a sum, so both give the same results. */
    #if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
    #define CUVEE_WIDE __attribute__((target_clones("avx2", "default")))
    #else
    #define CUVEE_WIDE
    #endif

    /* The inner product, in eight sums: one would wait for itself. */
    CUVEE_WIDE static float cuvee_dot(const float* one, const float* other, Py_ssize_t n) {
        float total[8] = {0}, rest = 0;
        Py_ssize_t j = 0;
        for (; j + 8 <= n; j += 8)
            for (int lane = 0; lane < 8; lane++) total[lane] += one[j + lane] * other[j + lane];
        for (; j < n; j++) rest += one[j] * other[j];
        return ((total[0] + total[4]) + (total[1] + total[5])) + ((total[2] + total[6]) + (total[3] + total[7])) + rest;
    }

    /* to += w[0] r0 + w[1] r1 + w[2] r2 + w[3] r3, added one after another. */
    CUVEE_WIDE static void cuvee_add_four(float* restrict to, const float* restrict r0, const float* restrict r1,
                                          const float* restrict r2, const float* restrict r3,
                                          const float* restrict w, Py_ssize_t n) {
        float w0 = w[0], w1 = w[1], w2 = w[2], w3 = w[3];
        for (Py_ssize_t j = 0; j < n; j++) to[j] = (((to[j] + w0 * r0[j]) + w1 * r1[j]) + w2 * r2[j]) + w3 * r3[j];
    }

    /* The scores that are above a bound, -INFINITY for the others; and the lowest and the highest of them. */
    CUVEE_WIDE static void cuvee_shown(const float* restrict scores, float above, float* restrict row, Py_ssize_t n) {
        for (Py_ssize_t i = 0; i < n; i++) row[i] = scores[i] > above ? scores[i] : -INFINITY;
    }

    CUVEE_WIDE static void cuvee_range(const float* restrict row, Py_ssize_t n, float* low, float* high) {
        float lows[8], highs[8];
        for (int lane = 0; lane < 8; lane++) lows[lane] = INFINITY, highs[lane] = -INFINITY;
        Py_ssize_t i = 0;
        for (; i + 8 <= n; i += 8)
            for (int lane = 0; lane < 8; lane++) {
                float s = row[i + lane], t = s > -INFINITY ? s : INFINITY;
                highs[lane] = s > highs[lane] ? s : highs[lane];
                lows[lane] = t < lows[lane] ? t : lows[lane];
            }
        for (; i < n; i++) {
            float s = row[i], t = s > -INFINITY ? s : INFINITY;
            highs[0] = s > highs[0] ? s : highs[0];
            lows[0] = t < lows[0] ? t : lows[0];
        }
        *low = INFINITY, *high = -INFINITY;
        for (int lane = 0; lane < 8; lane++) {
            *high = highs[lane] > *high ? highs[lane] : *high;
            *low = lows[lane] < *low ? lows[lane] : *low;
        }
    }

    /* The bucket of each score of a row by (score - low) * scale; -1 for -INFINITY. */
    CUVEE_WIDE static void cuvee_buckets(const float* restrict row, Py_ssize_t n, float low, float scale,
                                         int* restrict buckets) {
        for (Py_ssize_t i = 0; i < n; i++) {
            float place = row[i] > -INFINITY ? (row[i] - low) * scale : -1.0f;
            buckets[i] = (int) place;
        }
    }

    /* The normal equations of h weighted rows of q, added to the upper triangle of left (d x d) and to right (d). */
    CUVEE_WIDE static void cuvee_normal(float* restrict left, float* restrict right, const float* restrict q,
                                        const float* restrict w, Py_ssize_t h, Py_ssize_t d) {
        Py_ssize_t e = 0;
        for (; e + 4 <= h; e += 4) {
            const float *q0 = q + e * d, *q1 = q0 + d, *q2 = q1 + d, *q3 = q2 + d;
            for (Py_ssize_t i = 0; i < d; i++) {
                float a0 = w[e] * q0[i], a1 = w[e + 1] * q1[i], a2 = w[e + 2] * q2[i], a3 = w[e + 3] * q3[i];
                float* row = left + i * d;
                right[i] += (a0 + a1) + (a2 + a3);
                for (Py_ssize_t j = i & ~7; j < d; j++) row[j] += (a0 * q0[j] + a1 * q1[j]) + (a2 * q2[j] + a3 * q3[j]);
            }
        }
        for (; e < h; e++)
            for (Py_ssize_t i = 0; i < d; i++) {
                float a = w[e] * q[e * d + i];
                right[i] += a;
                for (Py_ssize_t j = i & ~7; j < d; j++) left[i * d + j] += a * q[e * d + j];
            }
    }

    /* Solves a x = y by Cholesky, a's upper triangle in place, x into y; 0 where a is not positive definite. */
    CUVEE_WIDE static int cuvee_solve(float* restrict a, float* restrict y, Py_ssize_t d) {
        for (Py_ssize_t k = 0; k < d; k++) {
            float* pivot = a + k * d;
            if (!(pivot[k] > 0)) return 0;
            float scale = 1 / sqrtf(pivot[k]);
            for (Py_ssize_t j = k; j < d; j++) pivot[j] *= scale;
            for (Py_ssize_t i = k + 1; i < d; i++) {
                float* row = a + i * d;
                float f = pivot[i];
                for (Py_ssize_t j = i & ~7; j < d; j++) row[j] -= f * pivot[j];
            }
            y[k] *= 1 / pivot[k];
            for (Py_ssize_t j = k + 1; j < d; j++) y[j] -= y[k] * pivot[j];
        }
        for (Py_ssize_t k = d - 1; k >= 0; k--)
            y[k] = (y[k] - cuvee_dot(a + k * d + k + 1, y + k + 1, d - k - 1)) / a[k * d + k];
        return 1;
    }
    """
    void cuvee_add_four(float* to, const float* r0, const float* r1, const float* r2, const float* r3, const float* w,
                        Py_ssize_t n) noexcept nogil
    void cuvee_shown(const float* scores, float above, float* row, Py_ssize_t n) noexcept nogil
    void cuvee_range(const float* row, Py_ssize_t n, float* low, float* high) noexcept nogil
    void cuvee_buckets(const float* row, Py_ssize_t n, float low, float scale, int* buckets) noexcept nogil
    float cuvee_dot(const float* one, const float* other, Py_ssize_t n) noexcept nogil
    void cuvee_normal(float* left, float* right, const float* q, const float* w, Py_ssize_t h, Py_ssize_t d) noexcept nogil
    int cuvee_solve(float* a, float* y, Py_ssize_t d) noexcept nogil


cdef void _rise(int* items, int low, int high) noexcept nogil:
    """Put items[low..high] in rising order: a quicksort that leaves short stretches to insertion."""
    cdef int i, j, middle, one
    while high - low > 16:
        middle = low + (high - low) // 2
        if items[middle] < items[low]:
            items[middle], items[low] = items[low], items[middle]
        if items[high] < items[low]:
            items[high], items[low] = items[low], items[high]
        if items[high] < items[middle]:
            items[high], items[middle] = items[middle], items[high]
        one = items[middle]
        i = low
        j = high
        while i <= j:
            while items[i] < one:
                i += 1
            while items[j] > one:
                j -= 1
            if i <= j:
                items[i], items[j] = items[j], items[i]
                i += 1
                j -= 1
        if j - low < high - i:  # the shorter part first, so that calls nest no deeper than the logarithm
            _rise(items, low, j)
            low = i
        else:
            _rise(items, i, high)
            high = j
    for i in range(low + 1, high + 1):
        one = items[i]
        j = i - 1
        while j >= low and items[j] > one:
            items[j + 1] = items[j]
            j -= 1
        items[j + 1] = one


# The k best of a row. Scores are put into buckets of equal width; only those of the bucket in which the k-th
# lies, and of better ones, are sorted.

ctypedef unsigned int bits_t

cdef enum:
    BUCKETS = 1024
    FEW = 40
    COLUMNS = 128
    SEVERAL = 8

cdef union Number:
    float value
    bits_t bits


cdef inline bits_t _falling(float s) noexcept nogil:
    """A whole number that falls as the score rises."""
    cdef Number one
    one.value = s + <float> 0.0  # -0 becomes 0
    return one.bits if one.bits >> 31 else ~(one.bits | <bits_t> 0x80000000)


cdef void _sort(bits_t* keys, int* at, bits_t* other_keys, int* other_at, int n) noexcept nogil:
    """By rising key, equal ones as they stand: by insertion where they are few, else by radix."""
    cdef int i, j, place, item, shift
    cdef int counts[256]
    cdef bits_t key
    cdef bits_t* swap_keys
    cdef int* swap_at
    if n <= FEW:
        for i in range(1, n):
            key = keys[i]
            item = at[i]
            j = i - 1
            while j >= 0 and keys[j] > key:
                keys[j + 1] = keys[j]
                at[j + 1] = at[j]
                j -= 1
            keys[j + 1] = key
            at[j + 1] = item
        return
    for shift in range(0, 32, 8):  # an even number of turns: what is sorted ends where it began
        memset(counts, 0, sizeof(counts))
        for i in range(n):
            counts[(keys[i] >> shift) & 255] += 1
        place = 0
        for i in range(256):
            j = counts[i]
            counts[i] = place
            place += j
        for i in range(n):
            place = counts[(keys[i] >> shift) & 255]
            counts[(keys[i] >> shift) & 255] = place + 1
            other_keys[place] = keys[i]
            other_at[place] = at[i]
        swap_keys = keys
        keys = other_keys
        other_keys = swap_keys
        swap_at = at
        at = other_at
        other_at = swap_at


def top(const float[:, ::1] scores, int k, const unsigned char[:] eligible, const offset_t[:] offsets,
        const int[:] excluded, float above_this, int[:, ::1] items, float[:, ::1] values):
    """The k best columns of each row into ``items`` and ``values``, best first; -1 and NaN behind the last."""
    cdef Py_ssize_t b, e, rows = scores.shape[0]
    cdef int i, n = <int> scores.shape[1], kept, edge, above
    cdef float low, high, scale
    cdef bint masked = eligible is not None
    cdef float* row = <float*> malloc((n + 1) * sizeof(float))
    cdef int* buckets = <int*> malloc((n + 1) * sizeof(int))
    cdef bits_t* keys = <bits_t*> malloc(2 * (n + 1) * sizeof(bits_t))
    cdef int* at = <int*> malloc(2 * (n + 1) * sizeof(int))
    cdef int counts[BUCKETS + 1]
    with nogil:
        for b in range(rows):
            cuvee_shown(&scores[b, 0], above_this, row, n)
            if masked:
                for i in range(n):
                    row[i] = row[i] if eligible[i] else -INFINITY
            if excluded is not None:
                for e in range(offsets[b], offsets[b + 1]):
                    if 0 <= excluded[e] < n:
                        row[excluded[e]] = -INFINITY
            cuvee_range(row, n, &low, &high)
            scale = 0
            if high > low and high - low < INFINITY:
                scale = (BUCKETS - 1) / (high - low)
                if not scale < INFINITY:
                    scale = 0
            edge = 0
            if scale > 0:
                memset(counts, 0, sizeof(counts))
                cuvee_buckets(row, n, low, scale, buckets)
                for i in range(n):
                    counts[buckets[i] + 1] += 1  # the first counts what is left out
                above = 0
                for edge in range(BUCKETS - 1, -1, -1):
                    above += counts[edge + 1]
                    if above >= k:
                        break
            kept = 0
            for i in range(n):  # without a branch, which could not be foreseen: what is not kept is written over
                keys[kept] = _falling(row[i])
                at[kept] = i
                kept += buckets[i] >= edge if scale > 0 else row[i] > -INFINITY
            _sort(keys, at, keys + n + 1, at + n + 1, kept)
            kept = kept if kept < k else k
            for i in range(kept):
                items[b, i] = at[i]
                values[b, i] = scores[b, at[i]]
            for i in range(kept, k):
                items[b, i] = -1
                values[b, i] = NAN
    free(row)
    free(buckets)
    free(keys)
    free(at)


def take(const float[:, :] dense, const int[:, :] items, float[:, ::1] out):
    """dense[b, items[b, m]]; NaN where the item lies outside."""
    cdef Py_ssize_t b, m, n = dense.shape[1]
    with nogil:
        for b in range(items.shape[0]):
            for m in range(items.shape[1]):
                out[b, m] = dense[b, items[b, m]] if 0 <= items[b, m] < n else NAN


def union(list proposals, const unsigned char[:, :] served, const offset_t[:] offsets, const int[:] excluded,
          const unsigned char[:] eligible, int n, int cap, int[:, ::1] items, int[::1] lengths, int[:, ::1] proposed):
    """Distinct candidates of each row in order of position into ``items``, how many into ``lengths``."""
    cdef Py_ssize_t b, e, s, p = len(proposals), rows = lengths.shape[0]
    cdef int place, item, count, widest = 0
    cdef bint masked = eligible is not None
    cdef const int[:, ::1] view
    cdef const int** where = <const int**> malloc((p + 1) * sizeof(int*))
    cdef int* width = <int*> malloc((p + 1) * sizeof(int))
    cdef int* stamp = <int*> calloc(n + 1, sizeof(int))
    for s in range(p):
        view = proposals[s]
        width[s] = <int> view.shape[1]
        where[s] = &view[0, 0] if view.shape[0] and view.shape[1] else NULL
        widest = max(widest, width[s])
    with nogil:
        for b in range(rows):
            for e in range(offsets[b], offsets[b + 1]):
                if 0 <= excluded[e] < n:
                    stamp[excluded[e]] = <int> b + 1
            count = 0
            for place in range(widest):
                for s in range(p):
                    if place >= width[s] or not served[s, b]:
                        continue
                    item = where[s][b * width[s] + place]
                    if item < 0 or item >= n:
                        continue
                    proposed[s, b] += 1
                    if count == cap or stamp[item] == b + 1 or (masked and not eligible[item]):
                        continue
                    stamp[item] = <int> b + 1
                    items[b, count] = item
                    count += 1
            lengths[b] = count
            if count * 8 > n:  # many: a walk over the catalogue finds them in order
                for e in range(offsets[b], offsets[b + 1]):
                    if 0 <= excluded[e] < n:
                        stamp[excluded[e]] = 0
                place = 0
                for item in range(n):
                    if stamp[item] == b + 1:
                        items[b, place] = item
                        place += 1
            elif count:
                _rise(&items[b, 0], 0, count - 1)
            for place in range(count, <int> items.shape[1]):
                items[b, place] = -1
    free(where)
    free(width)
    free(stamp)


def ranks(list proposals, const unsigned char[:, :] served, const int[:, :] items, int n, int[:, :, ::1] out):
    """1-based place of each item in each source's own list, 0 where it is not there."""
    cdef Py_ssize_t b, m, s, p = len(proposals), rows = items.shape[0], width
    cdef int place, item
    cdef const int[:, ::1] view
    cdef int* column = <int*> malloc((n + 1) * sizeof(int))
    memset(column, 255, (n + 1) * sizeof(int))
    for s in range(p):
        view = proposals[s]
        width = view.shape[1]
        with nogil:
            for b in range(rows):
                if not served[s, b]:
                    continue
                for m in range(items.shape[1]):
                    if 0 <= items[b, m] < n:
                        column[items[b, m]] = <int> m
                for place in range(<int> width):
                    item = view[b, place]
                    if 0 <= item < n and column[item] >= 0 and out[s, b, column[item]] == 0:
                        out[s, b, column[item]] = place + 1
                for m in range(items.shape[1]):
                    if 0 <= items[b, m] < n:
                        column[items[b, m]] = -1
    free(column)


def settle(const float[:, :] found, const int[:, :] items, const unsigned char[:] served, float[:, ::1] out,
           unsigned char[::1] live):
    """What a source said, NaN where it was not asked; ``live``: in which rows it said something. False: an infinity."""
    cdef Py_ssize_t b, m
    cdef bint good = True
    cdef float s
    with nogil:
        for b in range(items.shape[0]):
            live[b] = 0
            for m in range(items.shape[1]):
                s = found[b, m] if served[b] and items[b, m] >= 0 else NAN
                if s == INFINITY or s == -INFINITY:
                    good = False
                if s == s:
                    live[b] = 1
                out[b, m] = s
    return good


def finite(const float[:, :] scores):
    """Whether no score is infinite."""
    cdef Py_ssize_t b, m
    cdef bint good = True
    cdef float s
    with nogil:
        for b in range(scores.shape[0]):
            for m in range(scores.shape[1]):
                s = scores[b, m]
                if s == INFINITY or s == -INFINITY:
                    good = False
    return good


def inside(const int[:, :] items, int n):
    """Whether every item is -1 or a position below n."""
    cdef Py_ssize_t b, m
    cdef bint good = True
    with nogil:
        for b in range(items.shape[0]):
            for m in range(items.shape[1]):
                if items[b, m] < -1 or items[b, m] >= n:
                    good = False
    return good


cdef inline void _moments(const float* row, Py_ssize_t n, Py_ssize_t* count, double* mean, double* square) noexcept nogil:
    """Of a row's numbers: how many, their mean, and the sum of the squared distances from it."""
    cdef Py_ssize_t m, lane
    cdef double total[4]
    cdef Py_ssize_t known[4]
    cdef double one
    for lane in range(4):
        total[lane] = 0
        known[lane] = 0
    for m in range(0, n - 3, 4):  # four sums: one would wait for itself
        for lane in range(4):
            total[lane] += row[m + lane] if row[m + lane] == row[m + lane] else 0
            known[lane] += row[m + lane] == row[m + lane]
    for m in range(n - n % 4, n):
        total[m & 3] += row[m] if row[m] == row[m] else 0
        known[m & 3] += row[m] == row[m]
    count[0] = known[0] + known[1] + known[2] + known[3]
    mean[0] = (total[0] + total[1] + total[2] + total[3]) / count[0] if count[0] else 0
    for lane in range(4):
        total[lane] = 0
    for m in range(0, n - 3, 4):
        for lane in range(4):
            one = row[m + lane] - mean[0] if row[m + lane] == row[m + lane] else 0
            total[lane] += one * one
    for m in range(n - n % 4, n):
        one = row[m] - mean[0] if row[m] == row[m] else 0
        total[m & 3] += one * one
    square[0] = total[0] + total[1] + total[2] + total[3]


def zscore(const float[:, ::1] raw, float[:, ::1] out):
    """(x - mean) / standard deviation of each row's numbers; NaN stays; 0 where all are equal."""
    cdef Py_ssize_t b, m, count
    cdef double mean, square, deviation, noise, scale
    with nogil:
        for b in range(raw.shape[0]):
            if not raw.shape[1]:
                break
            _moments(&raw[b, 0], raw.shape[1], &count, &mean, &square)
            deviation = sqrt(square / count) if count else 0
            # below this the differences are the rounding of equal scores
            noise = 1e-6 * (mean if mean > 0 else -mean)
            noise = noise if noise > 1e-36 else 1e-36
            if deviation > noise:
                scale = 1 / deviation
                for m in range(raw.shape[1]):
                    out[b, m] = <float> ((raw[b, m] - mean) * scale)
            else:
                for m in range(raw.shape[1]):
                    out[b, m] = 0 if raw[b, m] == raw[b, m] else NAN


def with_prior(const float[:, :, :] calibrated, const float[:, :] weights, const unsigned char[:, :] present,
               const unsigned char[:, :] untouched, float optimism, float[:, :, ::1] out):
    """weight x opinion; a missing one counts as the row's mean, on an untouched item plus so many deviations."""
    cdef Py_ssize_t s, b, m, count, n = calibrated.shape[2]
    cdef double mean, square
    cdef float prior, hoped, weight
    cdef bint lifts = optimism > 0 and untouched is not None
    cdef float* row
    with nogil:
        for s in range(calibrated.shape[0]):
            for b in range(calibrated.shape[1]):
                if not n:
                    continue
                row = &out[s, b, 0]
                for m in range(n):
                    row[m] = calibrated[s, b, m] if present[b, m] else NAN
                _moments(row, n, &count, &mean, &square)
                weight = weights[s, b]
                prior = weight * <float> mean
                if lifts and count:
                    hoped = weight * (<float> mean + <float> (optimism * sqrt(square / count)))
                    for m in range(n):
                        row[m] = weight * row[m] if row[m] == row[m] else (hoped if untouched[b, m] else prior)
                else:
                    for m in range(n):
                        row[m] = weight * row[m] if row[m] == row[m] else prior
                for m in range(n):
                    row[m] = row[m] if present[b, m] else 0


def pick(const value_t[:, :, :] source, const int[:, :] columns, value_t missing, value_t[:, :, ::1] out):
    """source[s, b, columns[b, k]]; ``missing`` where the column is -1."""
    cdef Py_ssize_t s, b, k
    with nogil:
        for s in range(source.shape[0]):
            for b in range(columns.shape[0]):
                for k in range(columns.shape[1]):
                    out[s, b, k] = source[s, b, columns[b, k]] if columns[b, k] >= 0 else missing


def history(const offset_t[:] offsets, const int[:] items, const float[:] weights, double half_life, double oldest,
            int n, const unsigned char[:] known, bint shares, int[::1] indptr, int[::1] indices, float[::1] data):
    """Each row's distinct items in order of position, each with its newest event's weight, decayed.

    With ``shares`` those of a row add up to 1.
    With ``known``, events of weight 0 and of items that are not known make no other event older.
    Events that are older than ``oldest`` half-lives are left out. Returns how many entries there are.
    """
    cdef Py_ssize_t b, e, first, entry = 0, i, rows = offsets.shape[0] - 1
    cdef offset_t age
    cdef int item
    cdef float weight
    cdef double total
    cdef int* seen = <int*> calloc(n + 1, sizeof(int))
    cdef float* value = <float*> malloc((n + 1) * sizeof(float))
    cdef bint only = known is not None
    with nogil:
        indptr[0] = 0
        for b in range(rows):
            first = entry
            age = 0
            for e in range(offsets[b + 1] - 1, offsets[b] - 1, -1):
                item = items[e]
                if only and not (0 <= item < n and weights[e] > 0 and known[item]):
                    continue
                if half_life > 0 and age > oldest * half_life:
                    break
                weight = weights[e]
                if half_life > 0:
                    weight = <float> (weights[e] * exp2(-age / half_life))
                age += 1
                if not 0 <= item < n or not weight > 0 or seen[item] == b + 1:
                    continue
                seen[item] = <int> b + 1
                value[item] = weight
                indices[entry] = item
                entry += 1
            if entry > first:
                _rise(&indices[first], 0, <int> (entry - first) - 1)
            total = 0
            for i in range(first, entry):
                data[i] = value[indices[i]]
                total += data[i]
            if shares:
                for i in range(first, entry):
                    data[i] = <float> (data[i] / total)
            indptr[b + 1] = <int> entry
    free(seen)
    free(value)
    return entry


def add_rows(const int[:] indptr, const int[:] indices, const float[:] data, const float[:, ::1] table,
             float[:, ::1] out):
    """out[b] += the sum of a sparse row's weights times rows of a dense table.

    Several rows are made some columns at a time, so that these columns of the table stay in the processor's cache.
    """
    cdef Py_ssize_t b, e, j, t, start = 0, stop, d = table.shape[1], n = out.shape[0]
    cdef Py_ssize_t width = COLUMNS if n >= SEVERAL else d
    cdef float weight
    cdef float weights[4]
    cdef const float* row
    cdef const float* four[4]
    cdef float* to
    if not d or not n:
        return
    with nogil:
        while start < d:
            stop = min(start + width, d)
            for b in range(n):
                to = &out[b, 0]
                e = indptr[b]
                while e + 4 <= indptr[b + 1]:
                    # four at a time, so that what is summed is read and written once for them
                    for t in range(4):
                        weights[t] = data[e + t]
                        four[t] = &table[indices[e + t], start]
                    cuvee_add_four(to + start, four[0], four[1], four[2], four[3], weights, stop - start)
                    e += 4
                while e < indptr[b + 1]:
                    weight = data[e]
                    row = &table[indices[e], 0]
                    for j in range(start, stop):
                        to[j] += weight * row[j]
                    e += 1
            start = stop


def ridge(const float[:, ::1] vectors, const float[::1] weights, const offset_t[:] offsets,
          const float[:, ::1] background, float[:, ::1] out):
    """out[b] = inv(background + sum of w q q') sum of w q, over the row's vectors q; 0 without any."""
    cdef Py_ssize_t b, d = background.shape[0], h
    cdef float* left = <float*> malloc((d * d + 8) * sizeof(float))
    with nogil:
        for b in range(out.shape[0]):
            h = offsets[b + 1] - offsets[b]
            if not d:
                break
            memset(&out[b, 0], 0, d * sizeof(float))
            if h <= 0:
                continue
            memcpy(left, &background[0, 0], d * d * sizeof(float))
            cuvee_normal(left, &out[b, 0], &vectors[offsets[b], 0], &weights[offsets[b]], h, d)
            if not cuvee_solve(left, &out[b, 0], d):
                memset(&out[b, 0], 0, d * sizeof(float))
    free(left)


def add_chosen(const float[::1] base, const float[:, :] table, const offset_t[:, :] chosen, float[:, ::1] out):
    """out[b] = base + the rows chosen[b] of a dense table; row 0 is passed over."""
    cdef Py_ssize_t b, c, j, n = base.shape[0]
    cdef const float* row
    cdef float* to
    with nogil:
        for b in range(out.shape[0]):
            if not n:
                break
            to = &out[b, 0]
            for j in range(n):
                to[j] = base[j]
            for c in range(chosen.shape[1]):
                if chosen[b, c] > 0:
                    row = &table[chosen[b, c], 0]
                    for j in range(n):
                        to[j] += row[j]


def add_sparse_rows(const int[:] indptr, const int[:] indices, const float[:] data, const index_t[:] w_indptr,
                    const index_t[:] w_indices, const float[:] w_data, float[:, ::1] out):
    """The same with a sparse table."""
    cdef Py_ssize_t b, e, j
    cdef float weight
    cdef float* to
    with nogil:
        for b in range(out.shape[0]):
            to = &out[b, 0]
            for e in range(indptr[b], indptr[b + 1]):
                weight = data[e]
                for j in range(w_indptr[indices[e]], w_indptr[indices[e] + 1]):
                    to[w_indices[j]] += weight * w_data[j]


def support(const int[:] indptr, const int[:] indices, const float[:] data, const float[:, :] table,
            const int[:] rows, const int[:] items, int[::1] best):
    """For each pair (row, item) the item of the row's history that adds most to the item's score; -1 for none."""
    cdef Py_ssize_t j, e
    cdef float most, one
    with nogil:
        for j in range(rows.shape[0]):
            most = 0
            best[j] = -1
            for e in range(indptr[rows[j]], indptr[rows[j] + 1]):
                one = data[e] * table[indices[e], items[j]]
                if one > most:
                    most = one
                    best[j] = indices[e]


def sparse_support(const int[:] indptr, const int[:] indices, const float[:] data, const index_t[:] w_indptr,
                   const index_t[:] w_indices, const float[:] w_data, const int[:] rows, const int[:] items,
                   int[::1] best):
    """The same with a sparse table whose rows are in order of column."""
    cdef Py_ssize_t j, e, low, high, middle
    cdef float most, one
    with nogil:
        for j in range(rows.shape[0]):
            most = 0
            best[j] = -1
            for e in range(indptr[rows[j]], indptr[rows[j] + 1]):
                low = w_indptr[indices[e]]
                high = w_indptr[indices[e] + 1]
                while low < high:
                    middle = (low + high) // 2
                    if w_indices[middle] < items[j]:
                        low = middle + 1
                    else:
                        high = middle
                if low < w_indptr[indices[e] + 1] and w_indices[low] == items[j]:
                    one = data[e] * w_data[low]
                    if one > most:
                        most = one
                        best[j] = indices[e]


cdef inline unsigned char* _number(unsigned char* to, unsigned char tag, float value) noexcept nogil:
    """A float field, little-endian; ``to`` behind it."""
    cdef Number one
    one.value = value
    to[0] = tag
    to[1] = one.bits & 255
    to[2] = (one.bits >> 8) & 255
    to[3] = (one.bits >> 16) & 255
    to[4] = one.bits >> 24
    return to + 5


cdef inline unsigned char* _varint(unsigned char* to, bits_t value) noexcept nogil:
    while value >= 128:
        to[0] = (value & 127) | 128
        value >>= 7
        to += 1
    to[0] = value
    return to + 1


cdef inline bint _told(float value) noexcept nogil:
    """Whether a field of this value is written: all but 0 (-0 is)."""
    cdef Number one
    one.value = value
    return one.bits != 0


def attributions(list names, const unsigned char[:, :] part, const float[:, :, :] raw, const float[:, :, :] calibrated,
                 const float[:, :, :] contributions, const int[:, :, :] ranks, const float[:, :] weights,
                 const int[:, :] items, bint scaled, unsigned char[::1] out, offset_t[::1] ends):
    """``RecommendedItem.attributions`` of B x K items in protobuf's wire format, one behind the other."""
    cdef Py_ssize_t s, b, k, j, p = len(names)
    cdef int size
    cdef const unsigned char** where = <const unsigned char**> malloc((p + 1) * sizeof(char*))
    cdef int* length = <int*> malloc((p + 1) * sizeof(int))
    cdef unsigned char* to
    for s in range(p):
        where[s] = <const unsigned char*> (<char*> (<bytes> names[s]))
        length[s] = <int> len(names[s])
    with nogil:
        to = &out[0]
        for b in range(items.shape[0]):
            for k in range(items.shape[1]):
                if items[b, k] >= 0:
                    for s in range(p):
                        if not part[s, b]:
                            continue
                        size = length[s]
                        if raw[s, b, k] == raw[s, b, k]:
                            size += 10 if scaled else 5
                        size += 5 * _told(weights[s, b]) + 5 * _told(contributions[s, b, k])
                        if ranks[s, b, k]:
                            size += 2 + (ranks[s, b, k] >= 128) + (ranks[s, b, k] >= 16384) + (ranks[s, b, k] >= 2097152) \
                                + (ranks[s, b, k] >= 268435456)
                        to[0] = 0x22  # RecommendedItem.attributions
                        to = _varint(to + 1, size)
                        for j in range(length[s]):
                            to[j] = where[s][j]
                        to += length[s]
                        if raw[s, b, k] == raw[s, b, k]:
                            to = _number(to, 0x15, raw[s, b, k])
                            if scaled:
                                to = _number(to, 0x1d, calibrated[s, b, k])
                        if _told(weights[s, b]):
                            to = _number(to, 0x25, weights[s, b])
                        if _told(contributions[s, b, k]):
                            to = _number(to, 0x2d, contributions[s, b, k])
                        if ranks[s, b, k]:
                            to[0] = 0x30
                            to = _varint(to + 1, ranks[s, b, k])
                ends[b * items.shape[1] + k] = to - &out[0]
    free(where)
    free(length)


def nearest(const offset_t[:] offsets, const int[:] events, const float[:] weights, const float[:, ::1] table,
            const int[:] rows, const int[:] items, int[::1] best):
    """For each pair (row, item) the liked item of the row whose row of the table is nearest to the item's; or -1."""
    cdef Py_ssize_t j, e, width = table.shape[1], n = table.shape[0]
    cdef float total, most
    cdef int item, found
    cdef const float* one
    with nogil:
        for j in range(rows.shape[0]):
            most = 0
            found = -1
            one = &table[items[j], 0]
            for e in range(offsets[rows[j]], offsets[rows[j] + 1]):
                item = events[e]
                if item == items[j] or item == found or not 0 <= item < n or not weights[e] > 0:
                    continue
                total = cuvee_dot(one, &table[item, 0], width)
                # of those that are equal but for rounding, the first in the catalogue
                if total > most + 1e-6 or (total > most - 1e-6 and found >= 0 and item < found):
                    most = total if total > most else most
                    found = item
            best[j] = found
