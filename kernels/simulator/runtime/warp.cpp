// What the lanes of a warp do together: shuffles, votes, matches, reductions, warp barriers. PTX ISA, "Parallel Synchronization".
#include "machine.h"

// The registers are the result, whether the source was in range, the value, b and c (mask of the segment and clamp).
enum Mode { UP, DOWN, BUTTERFLY, INDEX };

template <Mode MODE> static void shuffle(Warp& w, const Instruction& i) {
  uint32_t *d = w.reg<uint32_t>(i.r[0]), *p = w.reg<uint32_t>(i.r[1]);
  const uint32_t *s = w.reg<uint32_t>(i.r[2]), *b = w.reg<uint32_t>(i.r[3]), *c = w.reg<uint32_t>(i.r[4]);
  uint32_t before[LANES];
  memcpy(before, s, sizeof before);
  for (int l = 0; l < LANES; l++) {
    if (!(w.active >> l & 1)) continue;
    const int segment = c[l] >> 8 & 31, clamp = c[l] & 31, by = b[l] & 31;
    const int highest = (l & segment) | (clamp & ~segment), lowest = l & segment;
    int from = MODE == UP ? l - by : MODE == DOWN ? l + by : MODE == BUTTERFLY ? l ^ by : lowest | (by & ~segment);
    const bool good = MODE == UP ? from >= highest : from <= highest;
    if (!good) from = l;
    if (good && !(w.active >> from & 1)) w.report(READS_ABSENT_LANE, i, l, from);
    d[l] = before[from], p[l] = good;
  }
}

static uint32_t member(const Warp& w, const Instruction& i, int lane) { return w.reg<uint32_t>(i.mask)[lane]; }

enum Vote { ANY, EVERY, UNIFORM, BALLOT };

template <Vote VOTE> static void vote(Warp& w, const Instruction& i) {
  uint32_t* d = w.reg<uint32_t>(i.r[0]);
  const uint32_t said = w.lanes_where(i.r[1], i.immediate) & w.active;
  for (int l = 0; l < LANES; l++) {
    if (!(w.active >> l & 1)) continue;
    const uint32_t asked = member(w, i, l) & w.active, yes = said & asked;
    d[l] = VOTE == BALLOT ? yes : VOTE == ANY ? yes != 0 : VOTE == EVERY ? yes == asked : yes == asked || !yes;
  }
}

template <class T, bool EQUAL_ALL> static void match(Warp& w, const Instruction& i) {
  uint32_t *d = w.reg<uint32_t>(i.r[0]), *p = EQUAL_ALL ? w.reg<uint32_t>(i.r[1]) : nullptr;
  const T* s = w.reg<T>(i.r[EQUAL_ALL ? 2 : 1]);
  for (int l = 0; l < LANES; l++) {
    if (!(w.active >> l & 1)) continue;
    const uint32_t asked = member(w, i, l) & w.active;
    uint32_t same = 0;
    for (int k = 0; k < LANES; k++) same |= uint32_t((asked >> k & 1) && s[k] == s[l]) << k;
    if (p) p[l] = same == asked, same = same == asked ? asked : 0;
    d[l] = same;
  }
}

struct Sum { template <class T> T operator()(T a, T b) const { return T(uint32_t(a) + uint32_t(b)); } };
struct Least { template <class T> T operator()(T a, T b) const { return a < b ? a : b; } };
struct Most { template <class T> T operator()(T a, T b) const { return a > b ? a : b; } };
struct And { template <class T> T operator()(T a, T b) const { return a & b; } };
struct Or { template <class T> T operator()(T a, T b) const { return a | b; } };
struct Xor { template <class T> T operator()(T a, T b) const { return a ^ b; } };

template <class T, class F> static void reduce(Warp& w, const Instruction& i) {
  T* d = w.reg<T>(i.r[0]);
  const T* s = w.reg<T>(i.r[1]);
  T result[LANES];
  for (int l = 0; l < LANES; l++) {
    const uint32_t asked = w.active >> l & 1 ? member(w, i, l) & w.active : 0;
    bool first = true;
    for (int k = 0; k < LANES; k++)
      if (asked >> k & 1) result[l] = first ? s[k] : F{}(result[l], s[k]), first = false;
  }
  for (int l = 0; l < LANES; l++)
    if (w.active >> l & 1) d[l] = result[l];
}

static void warp_barrier(Warp& w, const Instruction&) {
  w.clock++;
  if (w.active == w.live) {
    w.full = w.clock;
    return;
  }
  w.pairs.resize(LANES * LANES);
  for (int a = 0; a < LANES; a++)
    for (int b = 0; b < LANES; b++)
      if ((w.active >> a & 1) && (w.active >> b & 1)) w.pairs[a * LANES + b] = w.clock;
}

static void active_mask(Warp& w, const Instruction& i) {
  for (int l = 0; l < LANES; l++)
    if (w.active >> l & 1) w.reg<uint32_t>(i.r[0])[l] = w.active;
}

static void nothing(Warp&, const Instruction&) {}
static void trap(Warp& w, const Instruction& i) { w.report(TRAP, i, __builtin_ctz(w.active)); }

static Register together{
    {"shfl.up", shuffle<UP>}, {"shfl.down", shuffle<DOWN>}, {"shfl.bfly", shuffle<BUTTERFLY>}, {"shfl.idx", shuffle<INDEX>},
    {"vote.any", vote<ANY>}, {"vote.all", vote<EVERY>}, {"vote.uni", vote<UNIFORM>}, {"vote.ballot", vote<BALLOT>},
    {"match.any.b32", match<uint32_t, false>}, {"match.any.b64", match<uint64_t, false>}, {"match.all.b32", match<uint32_t, true>},
    {"match.all.b64", match<uint64_t, true>}, {"redux.add.u32", reduce<uint32_t, Sum>}, {"redux.add.s32", reduce<int32_t, Sum>},
    {"redux.min.u32", reduce<uint32_t, Least>}, {"redux.min.s32", reduce<int32_t, Least>}, {"redux.max.u32", reduce<uint32_t, Most>},
    {"redux.max.s32", reduce<int32_t, Most>}, {"redux.and.b32", reduce<uint32_t, And>}, {"redux.or.b32", reduce<uint32_t, Or>},
    {"redux.xor.b32", reduce<uint32_t, Xor>}, {"bar.warp", warp_barrier}, {"activemask", active_mask}, {"nothing", nothing}, {"trap", trap},
};
