// What Python calls: the table of opcodes, a program, a launch and what it found.
#include <algorithm>

#include "machine.h"

std::vector<Opcode>& opcodes() {
  static std::vector<Opcode> table;
  return table;
}

void execute(Launch* launch, int threads);

extern "C" {

const char* sim_opcode(int k) { return k < int(opcodes().size()) ? opcodes()[k].name : nullptr; }

struct Header {
  uint32_t instructions, operands, constants, specials, register_bytes, local_bytes, grain, fences, numbered;
};

void* sim_program(const Header* h, const Instruction* code, const uint32_t* operands, const Constant* constants, const Special* specials) {
  auto* p = new Program;
  p->code.assign(code, code + h->instructions);
  p->operands.assign(operands, operands + h->operands);
  p->constants.assign(constants, constants + h->constants);
  p->specials.assign(specials, specials + h->specials);
  p->register_bytes = h->register_bytes, p->local_bytes = h->local_bytes, p->grain = h->grain, p->fences = h->fences;
  p->instructions = h->numbered;
  for (Instruction& i : p->code) {
    const auto handler = reinterpret_cast<uintptr_t>(i.run);
    i.run = handler < opcodes().size() ? opcodes()[handler].run : nullptr;
    i.r = p->operands.data() + reinterpret_cast<uintptr_t>(i.r);
  }
  return p;
}

void sim_forget(void* program) { delete static_cast<Program*>(program); }

struct Request {
  uint32_t grid[3], block[3], shared_bytes, checked, order, threads, parameters, parameter_bytes, buffers, limit;
};

// Returns how many findings there are; as many as fit are written.
int sim_launch(void* program, const Request* r, const Constant* parameters, const char* parameter_bytes, const Buffer* buffers,
               Statistics* statistics, Sample* samples, Finding* findings, int room) {
  Launch launch;
  launch.program = static_cast<Program*>(program);
  std::copy(r->grid, r->grid + 3, launch.grid);
  std::copy(r->block, r->block + 3, launch.block);
  launch.parameters.assign(parameters, parameters + r->parameters);
  launch.parameter_bytes.assign(parameter_bytes, parameter_bytes + r->parameter_bytes);
  launch.buffers.assign(buffers, buffers + r->buffers);
  launch.shadows.resize(r->buffers);
  launch.shared_bytes = r->shared_bytes, launch.checked = r->checked, launch.order = Order(r->order);
  launch.limit = uint64_t(r->limit) << 20, launch.statistics = statistics, launch.samples = samples;
  execute(&launch, r->threads);
  int count = 0;
  for (auto& [key, finding] : launch.findings)
    if (count++ < room) findings[count - 1] = finding;
  return count;
}

}  // extern "C"
