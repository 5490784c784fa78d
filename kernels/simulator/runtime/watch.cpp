// What checked mode sees: how many sectors and wavefronts an access costs, and who touched a word before.
//
// Two accesses to a word, one of them a write, are a race unless something orders them: the same thread makes both, a
// barrier of the block lies between, or, within a warp, a __syncwarp that both lanes took part in. Shuffles and lockstep
// order nothing, as on the device. Two equal values written are no race, and neither are two atomics.
#include <algorithm>

#include "memory.h"

static int distinct(uint64_t* values, int count) {
  std::sort(values, values + count);
  return std::unique(values, values + count) - values;
}

// The memory system fetches sectors of 32 bytes.
static void count_global(Statistics& s, const Access& a, int size) {
  uint64_t sectors[2 * LANES], starts[LANES];
  int n = 0, m = 0;
  const uint64_t origin = a.buffer ? a.buffer->origin : 0;
  for (int l = 0; l < LANES; l++) {
    if (!(a.lanes >> l & 1)) continue;
    const uint64_t first = reinterpret_cast<uint64_t>(a.host[l]) - origin, last = first + size - 1;
    starts[m++] = first;
    sectors[n++] = first >> 5;
    if (last >> 5 != first >> 5) sectors[n++] = last >> 5;
  }
  s.global_requests++, s.global_bytes += uint64_t(m) * size;
  s.sectors += distinct(sectors, n);
  s.ideal_sectors += (uint64_t(distinct(starts, m)) * size + 31) / 32;
}

// Whether each lane l and lane l ^ other, where both take part, are at the same address.
static bool in_pairs(const Access& a, int other) {
  for (int l = 0; l < LANES; l++)
    if (a.lanes >> l & 1 && a.lanes >> (l ^ other) & 1 && a.host[l] != a.host[l ^ other]) return false;
  return true;
}

// Shared memory has 32 banks of 4 bytes: a wavefront serves one word of each. Wide accesses go by halves or quarters of the
// warp, and loads by twice as much if all lanes read in pairs: so an H100 counts, in 180 patterns that were tried on one.
static void count_shared(const Warp& w, Statistics& s, const Access& a, int size, bool load) {
  int lanes = size >= 16 ? 8 : size == 8 ? 16 : 32;
  if (load && lanes < 32 && (in_pairs(a, 1) || in_pairs(a, 2))) lanes *= 2;
  for (int first = 0; first < LANES; first += lanes) {
    uint64_t words[LANES * 4];
    int n = 0, per_bank[32] = {}, most = 0;
    for (int l = first; l < first + lanes; l++)
      if (a.lanes >> l & 1)
        for (int o = 0; o < size; o += 4) words[n++] = (a.host[l] - w.block->shared + o) >> 2;
    n = distinct(words, n);
    for (int k = 0; k < n; k++) most = std::max(most, ++per_bank[words[k] & 31]);
    s.wavefronts += most, s.ideal_wavefronts += (n + 31) / 32;
  }
  s.shared_requests++, s.shared_bytes += uint64_t(__builtin_popcount(a.lanes)) * size;
}

static void sample(const Warp& w, Sample& s, const Access& a, int size) {
  if (__builtin_popcount(s.lanes) >= __builtin_popcount(a.lanes)) return;
  s.lanes = a.lanes, s.size = size, s.space = a.space, s.buffer = a.buffer ? a.buffer->name : -1;
  const uint64_t origin = a.space == SHARED ? reinterpret_cast<uint64_t>(w.block->shared) : a.buffer ? a.buffer->origin : 0;
  for (int l = 0; l < LANES; l++)
    if (a.lanes >> l & 1) s.offset[l] = reinterpret_cast<uint64_t>(a.host[l]) - origin;
}

void count_access(Warp& w, const Instruction& i, const Access& a, int size, bool load) {
  if (i.where < 0 || !a.lanes) return;
  if (a.space == SHARED || a.buffer) sample(w, w.block->launch->samples[i.where], a, size);
  Statistics& s = w.block->launch->statistics[i.where];
  if (a.space == GLOBAL || (a.space == GENERIC && a.buffer)) count_global(s, a, size);
  if (a.space == SHARED) count_shared(w, s, a, size, load);
}

// ------------------------------------------------------------------------------------------------ races

// The cells that remember the access of a lane: `from` and how many.
struct Cells {
  Cell* from = nullptr;
  int count = 0;
  bool shared = false;
};

static Cells cells(Warp& w, const char* host, int size, const Buffer* buffer, Space space) {
  Block& b = *w.block;
  Launch& launch = *b.launch;
  const int grain = b.program->grain;
  const int count = std::max(1, size / grain);
  if (space == SHARED) return {&b.shadow[(host - b.shared) / grain], count, true};
  const uint64_t address = reinterpret_cast<uint64_t>(host);
  if (!buffer || address < buffer->begin || address >= buffer->end) return {};
  std::vector<Cell>& shadow = launch.shadows[buffer - launch.buffers.data()];
  if (shadow.empty()) shadow.resize((buffer->end - buffer->begin) / grain + 16);
  return {&shadow[(address - buffer->begin) / grain], count, false};
}

static bool ordered(const Warp& w, int lane, const Touch& t, bool shared) {
  const Block& b = *w.block;
  if (!t.block) return true;
  if (t.flags & Touch::SEVERAL_BLOCKS) return b.program->fences;
  if (t.block != b.number + 1) return shared || b.program->fences;
  const bool several = t.flags & (Touch::SEVERAL_LANES | Touch::SEVERAL_WARPS);
  if (!several && t.thread == w.number * LANES + lane) return true;
  if (t.epoch < b.epoch) return true;
  if (t.thread / LANES != w.number || t.flags & Touch::SEVERAL_WARPS) return false;
  return t.clock < w.full || (!several && !w.pairs.empty() && t.clock < w.pairs[lane * LANES + t.thread % LANES]);
}

static Touch touch(const Warp& w, const Instruction& i, int lane, uint16_t flags) {
  return {w.block->number + 1, w.block->epoch, w.clock, i.where, uint16_t(w.number * LANES + lane), flags};
}

// Remembers a reader beside those that read since the last barrier.
static void remember(Touch& t, const Touch& now, bool shared) {
  uint16_t flags = 0;
  if (t.block && t.block != now.block) {
    flags = shared ? 0 : Touch::SEVERAL_BLOCKS;
  } else if (t.block && t.epoch == now.epoch && t.thread != now.thread) {
    flags = t.flags | (t.thread / LANES == now.thread / LANES ? Touch::SEVERAL_LANES : Touch::SEVERAL_WARPS);
  }
  flags |= t.flags & Touch::SEVERAL_BLOCKS;
  t = now;
  t.flags |= flags;
}

static int64_t offset_of(const Warp& w, const Access& a, int lane) {
  if (a.space == SHARED) return a.host[lane] - w.block->shared;
  return a.buffer ? reinterpret_cast<uint64_t>(a.host[lane]) - a.buffer->begin : 0;
}

static int name_of(const Access& a) { return a.space != SHARED && a.buffer ? a.buffer->name : -1; }

void watch_read(Warp& w, const Instruction& i, const Access& a, int lane, int size) {
  const Cells c = cells(w, a.host[lane], size, a.buffer, a.space);
  const Touch now = touch(w, i, lane, 0);
  for (int k = 0; k < c.count; k++) {
    Cell& cell = c.from[k];
    const Touch& before = cell.write;
    auto tell = [&](Fault fault) { w.report(fault, i, lane, offset_of(w, a, lane), size, 0, name_of(a), &before); };
    if (c.shared && before.block != now.block) {
      tell(UNINITIALISED);
    } else if (before.block == now.block && before.flags & Touch::IN_FLIGHT) {
      tell(READ_BEFORE_WAIT);
    } else if (!ordered(w, lane, before, c.shared)) {
      tell(RACE_READ_AFTER_WRITE);
    }
    remember(cell.read, now, c.shared);
  }
}

void watch_write(Warp& w, const Instruction& i, const Access& a, int lane, int size, const void* value, bool flight) {
  const Cells c = cells(w, a.host[lane], size, a.buffer, a.space);
  const bool same = value && !memcmp(a.host[lane], value, size);
  for (int k = 0; k < c.count; k++) {
    Cell& cell = c.from[k];
    auto tell = [&](Fault fault, const Touch& t) { w.report(fault, i, lane, offset_of(w, a, lane), size, 1, name_of(a), &t); };
    if (!same && !ordered(w, lane, cell.write, c.shared)) tell(RACE_WRITE_WRITE, cell.write);
    if (!same && !ordered(w, lane, cell.read, c.shared)) tell(RACE_WRITE_AFTER_READ, cell.read);
    cell.write = touch(w, i, lane, flight ? Touch::IN_FLIGHT : 0);
  }
}

void watch_atomic(Warp& w, const Instruction& i, const Access& a, int lane, int size) {
  const Cells c = cells(w, a.host[lane], size, a.buffer, a.space);
  for (int k = 0; k < c.count; k++) {
    Cell& cell = c.from[k];
    auto tell = [&](Fault fault, const Touch& t) { w.report(fault, i, lane, offset_of(w, a, lane), size, 1, name_of(a), &t); };
    if (c.shared && cell.write.block != w.block->number + 1) tell(UNINITIALISED, cell.write);
    if (!(cell.write.flags & Touch::ATOMIC) && !ordered(w, lane, cell.write, c.shared)) tell(RACE_WRITE_WRITE, cell.write);
    if (!ordered(w, lane, cell.read, c.shared)) tell(RACE_WRITE_AFTER_READ, cell.read);
    cell.write = touch(w, i, lane, Touch::ATOMIC);
  }
}

// A copy has arrived: from now on its thread has written these words.
void land(Warp& w, const Copy& copy) {
  const Cells c = cells(w, copy.to, copy.size, nullptr, SHARED);
  Instruction i{};
  i.where = copy.where;
  for (int k = 0; k < c.count; k++) {
    if (!ordered(w, copy.lane, c.from[k].read, true))
      w.report(RACE_WRITE_AFTER_READ, i, copy.lane, copy.to - w.block->shared, copy.size, 1, -1, &c.from[k].read);
    c.from[k].write = touch(w, i, copy.lane, 0);
  }
}
