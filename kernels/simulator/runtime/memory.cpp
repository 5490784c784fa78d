// Loads, stores, atomics and asynchronous copies.
#include "memory.h"

#include <algorithm>

static const Buffer* find(const Launch& launch, uint64_t address) {
  const std::vector<Buffer>& all = launch.buffers;
  auto after = std::upper_bound(all.begin(), all.end(), address, [](uint64_t a, const Buffer& b) { return a < b.begin; });
  if (after == all.begin()) return nullptr;
  --after;
  return address < after->end ? &*after : nullptr;
}

static void reject(Warp& w, const Instruction& i, Access& a, int lane, Fault fault, int64_t offset, int size, bool writes,
                   int buffer = -1) {
  w.report(fault, i, lane, offset, size, writes, buffer);
  a.lanes &= ~(1u << lane);
}

// An address outside all buffers: how far it is from the nearest tells which one was meant.
static void outside(Warp& w, const Instruction& i, Access& a, int lane, uint64_t address, int size, bool writes) {
  const Buffer* nearest = nullptr;
  uint64_t distance = ~0ull;
  for (const Buffer& b : w.block->launch->buffers) {
    const uint64_t d = address < b.begin ? b.begin - address : address >= b.end ? address - b.end : 0;
    if (d < distance) distance = d, nearest = &b;
  }
  reject(w, i, a, lane, OUT_OF_BOUNDS, nearest ? int64_t(address - nearest->begin) : 0, size, writes, nearest ? nearest->name : -1);
}

// One lane after the other, for accesses that are not all plainly inside one array.
static void place(Warp& w, const Instruction& i, Access& a, int l, uint64_t address, int size, bool writes) {
  Block& b = *w.block;
  Space space = Space(i.space);
  if (space == GENERIC) {
    space = address >= LOCAL_WINDOW ? LOCAL : address >= SHARED_WINDOW ? SHARED : GLOBAL;
    if (space != GLOBAL) address -= space == SHARED ? SHARED_WINDOW : LOCAL_WINDOW;
    a.space = space;
  }
  uint64_t base = 0, end = b.launch->shared_bytes, origin = 0;
  if (space == SHARED) base = reinterpret_cast<uint64_t>(b.shared);
  if (space == LOCAL) end = b.program->local_bytes, base = reinterpret_cast<uint64_t>(b.local.data()) + (w.number * LANES + l) * end;
  if (space == PARAM) end = b.launch->parameter_bytes.size(), base = reinterpret_cast<uint64_t>(b.launch->parameter_bytes.data());
  int name = -1;
  if (space == GLOBAL) {
    const Buffer* buffer = find(*b.launch, address);
    if (!buffer) return outside(w, i, a, l, address, size, writes);
    if (!a.buffer) a.buffer = buffer;
    end = buffer->end, origin = buffer->origin, name = buffer->name;
    if (address + size > end) return outside(w, i, a, l, address, size, writes);
  } else if (address > end || address + size > end) {
    const Fault fault = space == SHARED ? SHARED_OUT_OF_BOUNDS : LOCAL_OUT_OF_BOUNDS;
    return reject(w, i, a, l, fault, int64_t(address), size, writes);
  }
  if ((address - origin) % size) return reject(w, i, a, l, MISALIGNED, int64_t(address - origin), size, writes, name);
  a.host[l] = reinterpret_cast<char*>(base + address);
}

// Whether all lanes lie in [begin, end) and are aligned: the usual case, and quick to see.
static bool inside(const Access& a, uint64_t begin, uint64_t end, uint64_t origin, int size) {
  uint64_t low = ~0ull, high = 0, bits = 0;
  for (int l = 0; l < LANES; l++) {
    const uint64_t p = reinterpret_cast<uint64_t>(a.host[l]);
    low = std::min(low, p), high = std::max(high, p), bits |= p - origin;
  }
  return low >= begin && high + size <= end && !(bits & (size - 1));
}

Access locate(Warp& w, const Instruction& i, uint32_t register_, int size, bool writes) {
  Access a;
  a.lanes = w.active, a.space = Space(i.space), a.buffer = nullptr;
  Block& b = *w.block;
  uint64_t address[LANES];
  if (i.wide) {
    const uint64_t* r = w.reg<uint64_t>(register_);
    EACH_LANE address[l] = r[l] + i.immediate;
  } else {
    const uint32_t* r = w.reg<uint32_t>(register_);
    EACH_LANE address[l] = uint32_t(r[l] + uint32_t(i.immediate));
  }
  if (w.active == ALL && (i.space == SHARED || i.space == GLOBAL)) {
    const uint64_t base = i.space == SHARED ? reinterpret_cast<uint64_t>(b.shared) : 0;
    EACH_LANE a.host[l] = reinterpret_cast<char*>(address[l] + base);
    if (i.space == SHARED) {
      if (inside(a, base, base + b.launch->shared_bytes, base, size)) return a;
    } else if ((a.buffer = find(*b.launch, address[0]))) {
      if (inside(a, a.buffer->begin, a.buffer->end, a.buffer->origin, size)) return a;
    }
    a.buffer = nullptr;
  }
  for (int l = 0; l < LANES; l++)
    if (w.active >> l & 1) place(w, i, a, l, address[l], size, writes);
  return a;
}

// ------------------------------------------------------------------------------------------------ load and store

template <class T, int N> static void load(Warp& w, const Instruction& i) {
  constexpr int size = sizeof(T) * N;
  Access a = locate(w, i, i.r[N], size, false);
  if (w.checked) {
    count_access(w, i, a, size, true);
    for (int l = 0; l < LANES; l++)
      if (a.lanes >> l & 1) watch_read(w, i, a, l, size);
  }
  T* d[N];
  for (int k = 0; k < N; k++) d[k] = w.reg<T>(i.r[k]);
  if (a.lanes == ALL) {
    for (int l = 0; l < LANES; l++)
      for (int k = 0; k < N; k++) memcpy(&d[k][l], a.host[l] + k * sizeof(T), sizeof(T));
    return;
  }
  for (int l = 0; l < LANES; l++)
    if (w.active >> l & 1)
      for (int k = 0; k < N; k++) {
        d[k][l] = T(-1);  // what a bad address gives: no number
        if (a.lanes >> l & 1) memcpy(&d[k][l], a.host[l] + k * sizeof(T), sizeof(T));
      }
}

template <class T, int N> static void store(Warp& w, const Instruction& i) {
  constexpr int size = sizeof(T) * N;
  const Access a = locate(w, i, i.r[0], size, true);
  if (w.checked) count_access(w, i, a, size);
  const T* s[N];
  for (int k = 0; k < N; k++) s[k] = w.reg<T>(i.r[k + 1]);
  for (int j = 0; j < LANES; j++) {
    const int l = w.block->lane_order[j];
    if (!(a.lanes >> l & 1)) continue;
    T value[N];
    for (int k = 0; k < N; k++) value[k] = s[k][l];
    if (w.checked) watch_write(w, i, a, l, size, value);
    memcpy(a.host[l], value, size);
  }
}

static Register loads{
    {"ld.b8", load<uint8_t, 1>},      {"ld.b16", load<uint16_t, 1>},    {"ld.b32", load<uint32_t, 1>},
    {"ld.b64", load<uint64_t, 1>},    {"ld.v2.b8", load<uint8_t, 2>},   {"ld.v2.b16", load<uint16_t, 2>},
    {"ld.v2.b32", load<uint32_t, 2>}, {"ld.v2.b64", load<uint64_t, 2>}, {"ld.v4.b8", load<uint8_t, 4>},
    {"ld.v4.b16", load<uint16_t, 4>}, {"ld.v4.b32", load<uint32_t, 4>}, {"ld.v4.b64", load<uint64_t, 4>},
    {"ld.v8.b32", load<uint32_t, 8>},
};
static Register stores{
    {"st.b8", store<uint8_t, 1>},      {"st.b16", store<uint16_t, 1>},    {"st.b32", store<uint32_t, 1>},
    {"st.b64", store<uint64_t, 1>},    {"st.v2.b8", store<uint8_t, 2>},   {"st.v2.b16", store<uint16_t, 2>},
    {"st.v2.b32", store<uint32_t, 2>}, {"st.v2.b64", store<uint64_t, 2>}, {"st.v4.b8", store<uint8_t, 4>},
    {"st.v4.b16", store<uint16_t, 4>}, {"st.v4.b32", store<uint32_t, 4>}, {"st.v4.b64", store<uint64_t, 4>},
    {"st.v8.b32", store<uint32_t, 8>},
};

// ------------------------------------------------------------------------------------------------ atomics

template <class T> using Bits = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;

// f(old, a, b) is what the word becomes. Blocks run on several threads of the host, so it must be atomic here too.
template <class T, class F> static T swap(char* host, F f, T a, T b) {
  auto* word = reinterpret_cast<Bits<T>*>(host);
  Bits<T> old = __atomic_load_n(word, __ATOMIC_RELAXED), fresh;
  T before;
  do {
    memcpy(&before, &old, sizeof(T));
    const T after = f(before, a, b);
    memcpy(&fresh, &after, sizeof(T));
  } while (!__atomic_compare_exchange_n(word, &old, fresh, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
  return before;
}

// The registers are the old value, the address, and one or two operands.
template <class T, class F> static void atomic(Warp& w, const Instruction& i, F f, bool two = false) {
  const Access a = locate(w, i, i.r[1], sizeof(T), true);
  if (w.checked) count_access(w, i, a, sizeof(T));
  T *d = w.reg<T>(i.r[0]), *s = w.reg<T>(i.r[2]), *t = two ? w.reg<T>(i.r[3]) : s;
  T old[LANES];
  for (int j = 0; j < LANES; j++) {
    const int l = w.block->lane_order[j];
    if (!(a.lanes >> l & 1)) continue;
    if (w.checked) watch_atomic(w, i, a, l, sizeof(T));
    old[l] = swap<T>(a.host[l], f, s[l], t[l]);
  }
  for (int l = 0; l < LANES; l++)
    if (a.lanes >> l & 1) d[l] = old[l];
}

struct Add { template <class T> T operator()(T o, T a, T) const { return o + a; } };
struct Min { template <class T> T operator()(T o, T a, T) const { return a < o ? a : o; } };
struct Max { template <class T> T operator()(T o, T a, T) const { return a > o ? a : o; } };
struct And { template <class T> T operator()(T o, T a, T) const { return o & a; } };
struct Or { template <class T> T operator()(T o, T a, T) const { return o | a; } };
struct Xor { template <class T> T operator()(T o, T a, T) const { return o ^ a; } };
struct Exchange { template <class T> T operator()(T, T a, T) const { return a; } };
struct Increase { template <class T> T operator()(T o, T a, T) const { return o >= a ? 0 : o + 1; } };
struct Decrease { template <class T> T operator()(T o, T a, T) const { return o == 0 || o > a ? a : o - 1; } };
struct Swap { template <class T> T operator()(T o, T a, T b) const { return o == a ? b : o; } };

template <class T, class F> static void atom(Warp& w, const Instruction& i) { atomic<T>(w, i, F{}); }
template <class T> static void cas(Warp& w, const Instruction& i) { atomic<T>(w, i, Swap{}, true); }

static Register atomics{
    {"atom.add.u32", atom<uint32_t, Add>},     {"atom.add.s32", atom<uint32_t, Add>},     {"atom.add.u64", atom<uint64_t, Add>},
    {"atom.add.s64", atom<uint64_t, Add>},     {"atom.add.f32", atom<float, Add>},        {"atom.add.f64", atom<double, Add>},
    {"atom.min.u32", atom<uint32_t, Min>},     {"atom.min.s32", atom<int32_t, Min>},      {"atom.min.u64", atom<uint64_t, Min>},
    {"atom.min.s64", atom<int64_t, Min>},      {"atom.max.u32", atom<uint32_t, Max>},     {"atom.max.s32", atom<int32_t, Max>},
    {"atom.max.u64", atom<uint64_t, Max>},     {"atom.max.s64", atom<int64_t, Max>},      {"atom.and.b32", atom<uint32_t, And>},
    {"atom.and.b64", atom<uint64_t, And>},     {"atom.or.b32", atom<uint32_t, Or>},       {"atom.or.b64", atom<uint64_t, Or>},
    {"atom.xor.b32", atom<uint32_t, Xor>},     {"atom.xor.b64", atom<uint64_t, Xor>},     {"atom.exch.b32", atom<uint32_t, Exchange>},
    {"atom.exch.b64", atom<uint64_t, Exchange>}, {"atom.inc.u32", atom<uint32_t, Increase>}, {"atom.dec.u32", atom<uint32_t, Decrease>},
    {"atom.cas.b32", cas<uint32_t>},           {"atom.cas.b64", cas<uint64_t>},
};

// ------------------------------------------------------------------------------------------------ cp.async

// The registers are the address in shared memory, the source, and how many bytes of it are taken; the rest is zeros.
template <int SIZE> static void copy_async(Warp& w, const Instruction& i) {
  Instruction to = i, from = i;
  to.space = SHARED, to.wide = i.wide & 2, to.immediate = int32_t(i.immediate);
  from.space = GLOBAL, from.wide = 1, from.immediate = i.immediate >> 32;
  const uint32_t active = w.active, *given = w.reg<uint32_t>(i.r[2]);
  Access d = locate(w, to, i.r[0], SIZE, true);
  for (int l = 0; l < LANES; l++)
    if (given[l] == 0) w.active &= ~(1u << l);  // an address that is not read need not be good
  w.active &= d.lanes;
  Access s = w.active ? locate(w, from, i.r[1], SIZE, false) : Access{};
  if (!w.active) s.lanes = 0;
  w.active = active;
  if (w.checked) count_access(w, to, d, SIZE), count_access(w, from, s, SIZE);
  for (int l = 0; l < LANES; l++) {
    if (!(d.lanes >> l & 1)) continue;
    const int taken = s.lanes >> l & 1 ? std::min<uint32_t>(given[l], SIZE) : 0;
    if (w.checked) {
      if (taken) watch_read(w, from, s, l, taken);
      watch_write(w, to, d, l, SIZE, nullptr, true);
    }
    w.copies.push_back({d.host[l], taken ? s.host[l] : nullptr, l, SIZE, taken, i.where, w.committed[l]});
  }
}

static void commit(Warp& w, const Instruction&) {
  for (int l = 0; l < LANES; l++) w.committed[l] += w.active >> l & 1;
}

// Copies arrive here and no earlier, so that a kernel which does not wait is seen to be wrong.
static void wait(Warp& w, const Instruction& i) {
  const int64_t keep = i.immediate;
  auto rest = std::remove_if(w.copies.begin(), w.copies.end(), [&](const Copy& c) {
    const bool arrives = (w.active >> c.lane & 1) && (keep < 0 || int64_t(c.group) < int64_t(w.committed[c.lane]) - keep);
    if (arrives) {
      memset(c.to, 0, c.size);
      if (c.given) memcpy(c.to, c.from, c.given);
      if (w.checked) land(w, c);
    }
    return arrives;
  });
  w.copies.erase(rest, w.copies.end());
}

static Register copies{
    {"cp.async.4", copy_async<4>}, {"cp.async.8", copy_async<8>}, {"cp.async.16", copy_async<16>},
    {"cp.async.commit_group", commit}, {"cp.async.wait_group", wait},
};
