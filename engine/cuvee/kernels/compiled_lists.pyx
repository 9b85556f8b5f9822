# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""Building lists place by place, so that pins, limits, spread and exploration hold together. See ``cuvee.kernels``."""

from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset

ctypedef long long offset_t

cdef extern from *:
    """
    static float cuvee_list_dot(const float* a, const float* b, long n) {
        float s0 = 0, s1 = 0, s2 = 0, s3 = 0, s4 = 0, s5 = 0, s6 = 0, s7 = 0;
        long i = 0;
        for (; i + 8 <= n; i += 8) {
            s0 += a[i] * b[i]; s1 += a[i+1] * b[i+1]; s2 += a[i+2] * b[i+2]; s3 += a[i+3] * b[i+3];
            s4 += a[i+4] * b[i+4]; s5 += a[i+5] * b[i+5]; s6 += a[i+6] * b[i+6]; s7 += a[i+7] * b[i+7];
        }
        for (; i < n; i++) s0 += a[i] * b[i];
        return ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7));
    }
    """
    float cuvee_list_dot(const float* a, const float* b, long n) nogil

cdef struct Rail:
    # one limit: its groups, and how many items of each group the last window - 1 places hold
    const offset_t* offsets
    const int* groups
    offset_t n
    int most
    int window
    int* count


cdef inline bint _has(Rail* rail, int item, int group) noexcept nogil:
    cdef offset_t e
    if item < 0 or item >= rail.n:
        return False
    for e in range(rail.offsets[item], rail.offsets[item + 1]):
        if rail.groups[e] == group:
            return True
    return False


cdef bint _fits(Rail* rail, const int* at, int place, int end, int item) noexcept nogil:
    """Whether an item may stand at a place; ``at`` holds the items of all places, -1 where none is yet."""
    cdef offset_t e
    cdef int group, start, q, held, ahead = 0
    if item >= rail.n or rail.offsets[item] == rail.offsets[item + 1]:
        return True
    for q in range(place + 1, min(place + rail.window, end)):
        if at[q] >= 0:
            ahead = 1
            break
    for e in range(rail.offsets[item], rail.offsets[item + 1]):
        group = rail.groups[e]
        if rail.count[group] >= rail.most:
            return False
        if ahead:  # pins stand further on: every window that holds the place is counted
            for start in range(max(place - rail.window + 1, 0), place + 1):
                held = 1
                for q in range(start, min(start + rail.window, end)):
                    if q != place and _has(rail, at[q], group):
                        held += 1
                if held > rail.most:
                    return False
    return True


cdef inline void _count(Rail* rail, int item, int by) noexcept nogil:
    cdef offset_t e
    if 0 <= item < rail.n:
        for e in range(rail.offsets[item], rail.offsets[item + 1]):
            rail.count[rail.groups[e]] += by


cdef int _first_broken(Rail* rails, int n, const int* at, int place, int end, int item) noexcept nogil:
    """The first limit that an item would break at a place, or -1."""
    cdef int r
    for r in range(n):
        if not _fits(&rails[r], at, place, end, item):
            return r
    return -1


def arrange(const int[:, ::1] items, const float[:, ::1] values, const int[:, ::1] order,
            const unsigned char[:, ::1] able, const int[:, ::1] pinned, const unsigned char[:, ::1] turns,
            const int[:, ::1] drawn, const int[:, ::1] prefix, const unsigned char[::1] forward, list limits, list group_counts,
            const float[:, ::1] vectors, float strength, int spread_window, int among,
            int[:, ::1] columns, unsigned char[:, ::1] explored, int[:, ::1] cause, float[:, ::1] penalty):
    """Fill B lists; see ``cuvee.kernels.arrange`` for the arguments."""
    cdef Py_ssize_t b, m = items.shape[1], c, j
    cdef int k = columns.shape[1], before = prefix.shape[1], horizon = pinned.shape[1], end = before + horizon
    cdef int n_rails = len(limits), r, place, chosen, column, broken, used, best_able, looked, w
    cdef int n_vectors = vectors.shape[0], width = vectors.shape[1], i
    cdef bint spreads = strength > 0 and n_vectors > 0, released
    cdef int ahead
    cdef float worth, best_worth, near, one
    cdef const offset_t[::1] offsets
    cdef const int[::1] groups
    cdef Rail* rails = <Rail*> malloc((n_rails + 1) * sizeof(Rail))
    cdef int* at = <int*> malloc((end + 1) * sizeof(int))
    cdef char* taken = <char*> malloc(m + 1)
    cdef float* likeness = NULL
    if spreads:
        likeness = <float*> malloc((m + 1) * (spread_window + 1) * sizeof(float))
    for r in range(n_rails):
        offsets, groups = limits[r][0], limits[r][1]
        rails[r].offsets = &offsets[0]
        rails[r].groups = &groups[0] if groups.shape[0] else NULL
        rails[r].n = offsets.shape[0] - 1
        rails[r].most, rails[r].window = limits[r][2], limits[r][3]
        rails[r].count = <int*> calloc(group_counts[r] + 1, sizeof(int))
    with nogil:
        for b in range(items.shape[0]):
            memset(taken, 0, m)
            for place in range(before):
                at[place] = prefix[b, place]
            for place in range(horizon):
                at[before + place] = -1
            best_able = 0
            for c in range(m):
                cause[b, c] = -1
                best_able += able[b, c] == 1
            # 1: placed; 2: pinned at a place that has not come
            for j in range(horizon):
                column = pinned[b, j]
                if column >= 0 and not taken[column]:
                    taken[column] = 2
            for r in range(n_rails):
                for place in range(max(before - rails[r].window + 1, 0), before):
                    _count(&rails[r], at[place], 1)
            # pins that break a limit among themselves wait: the earlier one stays
            for j in range(horizon):
                column = pinned[b, j]
                if column >= 0 and taken[column] == 2:
                    broken = -1
                    for r in range(n_rails):
                        if not _stands(&rails[r], at, before + <int> j, end, items[b, column]):
                            broken = r
                            break
                    if broken >= 0:
                        taken[column] = 0
                        cause[b, column] = broken
                    else:
                        at[before + j] = items[b, column]
            if spreads:
                for c in range(m * spread_window):
                    likeness[c] = 0
                for place in range(max(before - spread_window, 0), before):
                    _compare(items, b, m, vectors, n_vectors, width, at[place], likeness, place % spread_window,
                             spread_window)
            used = 0
            for j in range(k):
                place = before + <int> j
                chosen = -1
                explored[b, j] = 0
                penalty[b, j] = 0
                if at[place] >= 0:
                    chosen = pinned[b, j]
                else:
                    while True:
                        if turns[b, j] and used < best_able:
                            for c in range(drawn.shape[1]):
                                column = drawn[b, c]
                                if column < 0:
                                    break
                                if not taken[column] and _first_broken(rails, n_rails, at, place, end, items[b, column]) < 0:
                                    chosen = column
                                    explored[b, j] = 1
                                    break
                        if chosen < 0:
                            looked = 0
                            best_worth = 0
                            for c in range(order.shape[1]):
                                column = order[b, c]
                                if column < 0:
                                    break
                                if taken[column] or not able[b, column]:
                                    continue
                                worth = values[b, column]
                                if spreads and worth == worth:
                                    looked += 1
                                    if looked > among and chosen >= 0:
                                        break
                                    near = 0
                                    for w in range(spread_window):
                                        one = likeness[column * spread_window + w]
                                        near = one if one > near else near
                                    worth -= strength * near
                                    if chosen >= 0 and not worth > best_worth:
                                        continue
                                elif chosen >= 0:
                                    break  # those that fill up come behind all others
                                broken = _first_broken(rails, n_rails, at, place, end, items[b, column])
                                if broken >= 0:
                                    if cause[b, column] < 0:
                                        cause[b, column] = broken
                                    continue
                                chosen = column
                                best_worth = worth
                                penalty[b, j] = values[b, column] - worth if worth == worth else 0
                                if not spreads:
                                    break
                        if chosen >= 0 or not forward[b]:
                            break
                        # nothing is left for the places before the next pin: it comes forward
                        for i in range(horizon):
                            column = pinned[b, i]
                            if column >= 0 and taken[column] == 2:
                                ahead = at[before + i] if i > <int> j else -1
                                if ahead >= 0:
                                    at[before + i] = -1
                                if _first_broken(rails, n_rails, at, place, end, items[b, column]) < 0:
                                    chosen = column
                                    break
                                if ahead >= 0:
                                    at[before + i] = ahead
                        if chosen >= 0:
                            break
                        # no pin may: they no longer keep their places, so that they do not end the list
                        released = False
                        for i in range(<int> j + 1, horizon):
                            if at[before + i] >= 0:
                                at[before + i] = -1
                                released = True
                        if not released:
                            break
                    if chosen < 0:
                        for i in range(<int> j, k):
                            columns[b, i] = -1
                            explored[b, i] = 0
                            penalty[b, i] = 0
                        break
                    at[place] = items[b, chosen]
                columns[b, j] = chosen
                taken[chosen] = 1
                used += 1
                for r in range(n_rails):
                    _count(&rails[r], at[place], 1)
                    if place - rails[r].window + 1 >= 0:
                        _count(&rails[r], at[place - rails[r].window + 1], -1)
                if spreads:
                    _compare(items, b, m, vectors, n_vectors, width, at[place], likeness, place % spread_window,
                             spread_window)
            for r in range(n_rails):
                for place in range(end):
                    _clear(&rails[r], at[place])
    for r in range(n_rails):
        free(rails[r].count)
    free(rails)
    free(at)
    free(taken)
    free(likeness)


cdef bint _stands(Rail* rail, const int* at, int place, int end, int item) noexcept nogil:
    """Whether a pin may stand at a place beside the items that ``at`` holds before and behind it."""
    cdef offset_t e
    cdef int group, start, q, held
    if item >= rail.n:
        return True
    for e in range(rail.offsets[item], rail.offsets[item + 1]):
        group = rail.groups[e]
        for start in range(max(place - rail.window + 1, 0), place + 1):
            held = 1
            for q in range(start, min(start + rail.window, end)):
                if q != place and _has(rail, at[q], group):
                    held += 1
            if held > rail.most:
                return False
    return True


cdef inline void _clear(Rail* rail, int item) noexcept nogil:
    cdef offset_t e
    if 0 <= item < rail.n:
        for e in range(rail.offsets[item], rail.offsets[item + 1]):
            rail.count[rail.groups[e]] = 0


cdef void _compare(const int[:, ::1] items, Py_ssize_t b, Py_ssize_t m, const float[:, ::1] vectors, int n, int width,
                   int item, float* likeness, int slot, int window) noexcept nogil:
    """Write how near each candidate is to an item that was placed."""
    cdef Py_ssize_t c
    cdef bint known = 0 <= item < n
    for c in range(m):
        likeness[c * window + slot] = 0
        if known and 0 <= items[b, c] < n:
            likeness[c * window + slot] = cuvee_list_dot(&vectors[item, 0], &vectors[items[b, c], 0], width)
