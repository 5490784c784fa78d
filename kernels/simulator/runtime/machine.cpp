// How warps run, part, meet again and wait for one another.
#include "machine.h"

#include <algorithm>
#include <thread>

void Warp::report(Fault fault, const Instruction& i, int lane, int64_t offset, int size, int writes, int buffer,
                  const Touch* other) {
  Launch& launch = *block->launch;
  std::lock_guard<std::mutex> guard(launch.lock);
  Finding& f = launch.findings[{fault, i.where}];
  if (f.count++) return;  // the first of its kind is told in full, the others are counted
  f.fault = fault, f.where = i.where, f.buffer = buffer, f.offset = offset, f.size = size, f.writes = writes;
  f.block = block->number, f.thread = number * LANES + lane;
  f.other_where = other ? other->where : -1;
  f.other_block = other ? other->block - 1 : 0, f.other_thread = other ? other->thread : 0;
}

// ------------------------------------------------------------------------------------------------ one warp

void Warp::begin(int lanes) {
  existing = live = active = lanes == LANES ? ALL : (1u << lanes) - 1;
  pc = 0, limit = ~0u, status = READY, forced = false, executed = 0, clock = 1, full = 0;
  parked.clear(), resting.clear(), copies.clear(), pairs.clear();
  std::fill(committed, committed + LANES, 0);
}

uint32_t Warp::lanes_where(uint32_t predicate, bool negated) const {
  const uint32_t* p = reg<uint32_t>(predicate);
  uint32_t mask = 0;
  for (int l = 0; l < LANES; l++) mask |= (p[l] & 1) << l;
  return negated ? ~mask : mask;
}

void Warp::diverge(uint32_t elsewhere, uint32_t lanes) {
  for (Group& g : parked)
    if (g.pc == elsewhere && !g.waits) {
      g.lanes |= lanes;
      return;
    }
  parked.push_back({elsewhere, lanes, false});
  limit = std::min(limit, elsewhere);
}

// The group that runs has come to or past a parked one: they become one group, or the other one goes first.
void Warp::settle() {
  if (active) {
    diverge(pc, active);
    active = 0;
  }
  next();
}

// Takes the parked group that is furthest behind; false if there is none that can run.
bool Warp::next() {
  auto before = [](const Group& a, const Group& b) { return std::tie(a.waits, a.pc) < std::tie(b.waits, b.pc); };
  auto first = std::min_element(parked.begin(), parked.end(), before);
  limit = ~0u;
  if (first == parked.end()) return false;
  forced = first->waits;  // nobody else can run, so whom it waits for never comes
  pc = first->pc, active = first->lanes;
  parked.erase(first);
  for (const Group& g : parked)
    if (!g.waits) limit = std::min(limit, g.pc);
  return true;
}

// Whether all lanes that the instruction names are here; those that are wait for the others.
bool Warp::assemble(const Instruction& i) {
  for (size_t g = 0; g < parked.size(); g++)
    if (parked[g].waits && parked[g].pc == pc) {
      active |= parked[g].lanes;
      parked.erase(parked.begin() + g--);
    }
  uint32_t named = i.mask ? 0 : ALL;
  if (i.mask) {
    const uint32_t* masks = reg<uint32_t>(i.mask);
    for (int l = 0; l < LANES; l++)
      if (active >> l & 1) {
        named |= masks[l];
        if (!(masks[l] >> l & 1)) report(NOT_IN_MASK, i, l);
      }
  }
  if (named & existing & ~live) report(NAMES_ENDED_LANE, i, __builtin_ctz(named & existing & ~live));
  uint32_t missing = named & live & ~active;
  if (!missing) return true;
  if (forced) {
    report(DEADLOCK, i, __builtin_ctz(missing));
    forced = false;
    return true;
  }
  parked.push_back({pc, active, true});
  active = 0;
  return false;
}

void Warp::barrier(const Instruction& i) {
  if (active != live) report(DIVERGENT_BARRIER, i, __builtin_ctz(live & ~active));
  barrier_where = i.where;
  resting.push_back({pc + 1, active, false});
}

void Warp::leave(uint32_t lanes) {
  live &= ~lanes;
  active &= ~lanes;
}

// Some lanes branch, and some may not.
void Warp::branch(uint32_t target, uint32_t taken, uint32_t stay) {
  if (!stay) {
    active = taken, pc = target;
  } else if (!taken) {
    active = stay, pc++;
  } else {
    diverge(target, taken);  // if that is behind, it goes first: see run
    active = stay, pc++;
  }
}

// Executes an instruction that is more than a loop over the lanes; `others` are those whose guard is false.
void Warp::control(const Instruction& i, uint32_t others) {
  if (i.kind == BRANCH) return branch(static_cast<uint32_t>(i.immediate), active, others);
  if (active) {
    if (i.kind == EXIT) leave(active);
    if (i.kind == BARRIER) barrier(i), active = 0;
    if (i.kind == TOGETHER && assemble(i)) i.run(*this, i);
  }
  active |= others, pc++;
}

// Runs until all lanes have ended or are at a barrier, or another warp is to go on.
template <bool CHECKED> void Warp::run() {
  const Instruction* code = block->program->code.data();
  Launch& launch = *block->launch;
  while (active || next()) {
    if (pc >= limit) settle();
    const Instruction& i = code[pc];
    const uint32_t all = active;
    if (i.guard) active &= lanes_where(i.guard, i.negated);
    if (CHECKED && i.where >= 0) {
      launch.statistics[i.where].warps += active != 0;
      launch.statistics[i.where].lanes += __builtin_popcount(active);
    }
    if (i.kind == PLAIN) {
      if (active) i.run(*this, i);
      active = all, pc++;
    } else {
      control(i, all & ~active);
    }
    if (++executed > launch.limit) {
      report(NEVER_ENDS, i, __builtin_ctz(all));
      leave(live), parked.clear(), resting.clear();
    }
    if (CHECKED && i.space && --patience < 0) {
      patience = block->random() % 16;
      return;
    }
  }
  status = resting.empty() ? ENDED : AT_BARRIER;
}

// ------------------------------------------------------------------------------------------------ one block

static void fill(Warp& w, const std::vector<Constant>& constants) {
  for (const Constant& c : constants)
    for (int l = 0; l < LANES; l++) memcpy(w.registers + c.offset + l * c.width, &c.value, c.width);
}

Block::Block(Launch* launch) : launch(launch), program(launch->program), random(1) {
  threads = launch->block[0] * launch->block[1] * launch->block[2];
  const int count = (threads + LANES - 1) / LANES;
  const uint32_t bytes = program->register_bytes;
  registers.resize(size_t(count) * bytes + 64);
  char* first = registers.data() + (64 - reinterpret_cast<uintptr_t>(registers.data()) % 64);
  local.resize(size_t(threads + LANES) * program->local_bytes);
  shared_storage.resize(launch->shared_bytes + 2048);
  shared = shared_storage.data() + (1024 - reinterpret_cast<uintptr_t>(shared_storage.data()) % 1024);
  if (launch->checked) shadow.resize(launch->shared_bytes / program->grain + 16);
  warps.resize(count);
  for (int k = 0; k < count; k++) {
    Warp& w = warps[k];
    w.block = this, w.number = k, w.registers = first + size_t(k) * bytes, w.checked = launch->checked;
    fill(w, program->constants);
    fill(w, launch->parameters);
  }
  for (int l = 0; l < LANES; l++) lane_order[l] = launch->order == DESCENDING ? LANES - 1 - l : l;
}

// What %tid.x and the like hold in a lane. The numbers are those of SPECIAL in program.py.
static uint32_t special(const Block& b, const Warp& w, uint32_t which, uint32_t lane) {
  const uint32_t thread = w.number * LANES + lane, *size = b.launch->block;
  switch (which) {
    case 0: return thread % size[0];
    case 1: return thread / size[0] % size[1];
    case 2: return thread / size[0] / size[1];
    case 3: case 4: case 5: return size[which - 3];
    case 6: case 7: case 8: return b.index[which - 6];
    case 9: case 10: case 11: return b.launch->grid[which - 9];
    case 12: return lane;
    case 13: return w.number;
    case 14: return 1u << lane;
    case 15: return (1u << lane) - 1;
    case 16: return (2u << lane) - 1;
    case 17: return ~((1u << lane) - 1);
    case 18: return ~((2u << lane) - 1);
    default: return 0;
  }
}

void Block::run(uint64_t which) {
  number = which, epoch = 0;
  index[0] = which % launch->grid[0];
  index[1] = which / launch->grid[0] % launch->grid[1];
  index[2] = which / launch->grid[0] / launch->grid[1];
  for (Warp& w : warps) {
    w.begin(std::min(LANES, threads - w.number * LANES));
    w.patience = launch->order == RANDOM ? random() % 16 : 1 << 30;
    for (const Special& s : program->specials)
      for (int l = 0; l < LANES; l++) w.reg<uint32_t>(s.offset)[l] = special(*this, w, s.which, l);
  }
  std::fill(shared, shared + launch->shared_bytes, char(0xFF));  // NaN, should anybody read it
  std::vector<int> turn(warps.size());
  for (size_t k = 0; k < turn.size(); k++) turn[k] = launch->order == DESCENDING ? turn.size() - 1 - k : k;
  do {
    if (launch->order == RANDOM) {
      std::shuffle(turn.begin(), turn.end(), random);
      std::shuffle(lane_order, lane_order + LANES, random);
    }
    for (int k : turn)
      while (warps[k].status == READY) {
        launch->checked ? warps[k].run<true>() : warps[k].run<false>();
        if (launch->order == RANDOM) break;
      }
  } while (release());
}

// Opens the barrier if everybody is there; false if the block has ended.
bool Block::release() {
  const Warp* first = nullptr;
  uint32_t ended = 0;
  for (Warp& w : warps) {
    if (w.status == READY) return true;
    ended |= w.existing & ~w.live;
    if (w.status == AT_BARRIER && !first) first = &w;
  }
  if (!first) return false;
  for (Warp& w : warps) {
    if (w.status != AT_BARRIER) continue;
    const Instruction at{nullptr, nullptr, 0, 0, 0, int32_t(w.barrier_where), 0, 0, 0, 0};
    if (ended) w.report(BARRIER_AFTER_EXIT, at, __builtin_ctz(w.live));
    if (w.barrier_where != first->barrier_where) w.report(DIFFERENT_BARRIERS, at, __builtin_ctz(w.live));
    w.status = READY;
    for (const Group& g : w.resting) w.diverge(g.pc, g.lanes);
    w.resting.clear();
  }
  epoch++, launch->barriers++;
  return true;
}

// ------------------------------------------------------------------------------------------------ a launch

static void work(Launch* launch) {
  const uint64_t count = uint64_t(launch->grid[0]) * launch->grid[1] * launch->grid[2];
  Block block(launch);
  std::vector<uint64_t> turn;
  if (launch->order == RANDOM) {
    for (uint64_t k = 0; k < count; k++) turn.push_back(k);
    std::shuffle(turn.begin(), turn.end(), block.random);
  }
  for (uint64_t k; (k = launch->next++) < count;)
    block.run(launch->order == RANDOM ? turn[k] : launch->order == DESCENDING ? count - 1 - k : k);
}

void execute(Launch* launch, int threads) {
  if (threads <= 1) return work(launch);
  std::vector<std::thread> workers;
  for (int k = 0; k < threads; k++) workers.emplace_back(work, launch);
  for (std::thread& worker : workers) worker.join();
}
