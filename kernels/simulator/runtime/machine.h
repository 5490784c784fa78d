// The machine that executes a kernel: what an instruction, a warp, a block and a launch are.
//
// A warp is 32 lanes that share one program counter. Every register is an array of 32 values, and every instruction is
// a loop over the lanes that are active. Lanes that a branch sends elsewhere are parked as a group with a program counter
// of its own; the group that is furthest behind always goes first, so groups meet again where their paths do.
#pragma once
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <map>
#include <mutex>
#include <random>
#include <tuple>
#include <utility>
#include <vector>

constexpr int LANES = 32;
constexpr uint32_t ALL = ~0u;
constexpr uint64_t SHARED_WINDOW = 1ull << 60, LOCAL_WINDOW = 1ull << 61;  // where generic addresses of these spaces begin

#if defined(__clang__)
#define EACH_LANE _Pragma("clang loop vectorize(assume_safety)") for (int l = 0; l < LANES; l++)
#else
#define EACH_LANE _Pragma("GCC ivdep") for (int l = 0; l < LANES; l++)
#endif

enum Kind : uint8_t { PLAIN, BRANCH, EXIT, BARRIER, TOGETHER };
enum Space : uint8_t { NONE, GLOBAL, SHARED, LOCAL, PARAM, GENERIC };
enum Order : int32_t { ASCENDING, DESCENDING, RANDOM };
enum Status : uint8_t { READY, AT_BARRIER, ENDED };

// What can be wrong. The names are in findings.py, in this order.
enum Fault : int32_t {
  OUT_OF_BOUNDS, MISALIGNED, SHARED_OUT_OF_BOUNDS, UNINITIALISED, RACE_WRITE_WRITE, RACE_READ_AFTER_WRITE,
  RACE_WRITE_AFTER_READ, READ_BEFORE_WAIT, DIVERGENT_BARRIER, BARRIER_AFTER_EXIT, DIFFERENT_BARRIERS, DEADLOCK,
  NOT_IN_MASK, NAMES_ENDED_LANE, READS_ABSENT_LANE, NEVER_ENDS, TRAP, LOCAL_OUT_OF_BOUNDS,
};

struct Warp;
struct Instruction;
using Handler = void (*)(Warp&, const Instruction&);

// As Python writes it, except that `run` and `r` come as numbers and become pointers (program.cpp).
struct Instruction {
  Handler run;
  const uint32_t* r;  // the registers: what is written, then what is read, as byte offsets into the warp's register file
  int64_t immediate;
  uint32_t guard;  // the predicate register; 0: none
  uint32_t mask;   // TOGETHER: the register that names the lanes which must arrive; 0: all
  int32_t where;   // the number of the PTX instruction; -1 for one that only helps another
  uint8_t kind, negated, space, wide;
};

struct Statistics {  // of one PTX instruction, over a launch
  uint64_t warps, lanes;
  uint64_t global_requests, global_bytes, sectors, ideal_sectors;
  uint64_t shared_requests, shared_bytes, wavefronts, ideal_wavefronts;
};

struct Sample {  // one access of a warp, to be drawn: where each lane went
  uint32_t lanes;
  int32_t buffer, size, space;
  int64_t offset[LANES];
};

struct Finding {
  int32_t fault, where, other_where, buffer;
  uint32_t block, thread, other_block, other_thread;
  int64_t offset;
  uint64_t count;
  int32_t size, writes;
};

struct Buffer {  // memory that the kernel may touch; sectors are counted from `origin`, where the device's allocation would begin
  uint64_t begin, end, origin;
  int32_t name, padding;
};

struct Constant {  // a register whose lanes all hold one value from the beginning
  uint32_t offset, width;
  uint64_t value;
};

struct Special {  // a register that tells a thread where it is
  uint32_t offset, which;
};

struct Program {
  std::vector<Instruction> code;
  std::vector<uint32_t> operands;
  std::vector<Constant> constants;
  std::vector<Special> specials;
  uint32_t register_bytes = 0, local_bytes = 0, instructions = 0;
  int32_t grain = 4;      // the smallest access in bytes: how fine races are told apart
  int32_t fences = 0;     // whether blocks may talk to one another
};

// The last thread that touched a word, and when.
struct Touch {
  enum Flags : uint16_t { SEVERAL_LANES = 1, SEVERAL_WARPS = 2, SEVERAL_BLOCKS = 4, ATOMIC = 8, IN_FLIGHT = 16 };
  uint32_t block = 0, epoch = 0, clock = 0;  // block: its number plus 1, so that 0 is nobody
  int32_t where = -1;
  uint16_t thread = 0, flags = 0;
};

struct Cell {
  Touch write, read;
};

struct Launch {
  const Program* program;
  uint32_t grid[3], block[3];
  std::vector<Constant> parameters;
  std::vector<char> parameter_bytes;
  std::vector<Buffer> buffers;  // by address
  std::vector<std::vector<Cell>> shadows;  // of the buffers, made when first touched
  uint32_t shared_bytes;
  bool checked;
  Order order;
  uint64_t limit;  // instructions that one warp may execute
  Statistics* statistics;
  Sample* samples;  // of each PTX instruction the first access with most lanes
  std::mutex lock;
  std::map<std::tuple<int, int>, Finding> findings;
  std::atomic<uint64_t> next{0};
  uint64_t barriers = 0;
};

struct Copy {  // one cp.async that is under way
  char *to, *from;
  int lane, size, given, where;
  uint32_t group;
};

struct Block;

struct Group {
  uint32_t pc, lanes;
  bool waits;  // for lanes that a shuffle names and that are not there yet
};

struct Warp {
  Block* block;
  char* registers;
  int number;                // in its block
  uint32_t active, live, existing;
  uint32_t pc, limit;        // limit: the lowest pc of a parked group
  uint32_t barrier_where;
  bool forced, checked;
  Status status;
  uint64_t executed;
  uint32_t clock, full;      // counts warp barriers; the last one that all lanes took part in
  std::vector<uint32_t> pairs;  // [32][32] the last warp barrier that both lanes took part in
  std::vector<Group> parked, resting;  // resting: at the barrier
  std::vector<Copy> copies;
  uint32_t committed[LANES];
  int patience;

  template <class T> T* reg(uint32_t offset) const { return reinterpret_cast<T*>(registers + offset); }
  void begin(int lanes);
  template <bool CHECKED> void run();
  void diverge(uint32_t elsewhere, uint32_t lanes);
  bool next();
  void settle();
  bool assemble(const Instruction& i);
  void leave(uint32_t lanes);
  void barrier(const Instruction& i);
  void branch(uint32_t target, uint32_t taken, uint32_t stay);
  void control(const Instruction& i, uint32_t others);
  uint32_t lanes_where(uint32_t predicate, bool negated) const;
  void report(Fault fault, const Instruction& i, int lane, int64_t offset = 0, int size = 0, int writes = 0, int buffer = -1,
              const Touch* other = nullptr);
};

struct Block {
  Launch* launch;
  const Program* program;
  uint32_t number, index[3], epoch;
  int threads;
  std::vector<Warp> warps;
  std::vector<char> registers, local;
  char* shared;
  std::vector<char> shared_storage;
  std::vector<Cell> shadow;
  std::mt19937 random;
  int lane_order[LANES];

  Block(Launch* launch);
  void run(uint64_t number);
  bool release();
};

struct Opcode {
  const char* name;
  Handler run;
};
std::vector<Opcode>& opcodes();

struct Register {  // puts opcodes into the table that Python reads
  Register(std::initializer_list<Opcode> list) { opcodes().insert(opcodes().end(), list); }
};

// The heart of nearly every opcode: result[l] = f(a[l], b[l], ...) for the active lanes.
template <class D, class... S, class F, size_t... K>
inline void each_of(Warp& w, const Instruction& i, F f, std::index_sequence<K...>) {
  D* d = w.reg<D>(i.r[0]);
  [&](const S*... s) {
    if (w.active == ALL) {
      EACH_LANE d[l] = f(s[l]...);
    } else {
      for (int l = 0; l < LANES; l++)
        if (w.active >> l & 1) d[l] = f(s[l]...);
    }
  }(w.reg<S>(i.r[K + 1])...);
}

template <class D, class... S, class F> inline void each(Warp& w, const Instruction& i, F f) {
  each_of<D, S...>(w, i, f, std::index_sequence_for<S...>());
}
