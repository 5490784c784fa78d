// Addresses of a warp's lanes, turned into pointers that are safe to use; and who watches the accesses.
#pragma once
#include "machine.h"

struct Access {
  char* host[LANES];
  uint32_t lanes;         // those whose address is good
  Space space;
  const Buffer* buffer;   // of the first good lane
};

Access locate(Warp& w, const Instruction& i, uint32_t address, int size, bool writes);
void count_access(Warp& w, const Instruction& i, const Access& a, int size, bool load = false);
void watch_read(Warp& w, const Instruction& i, const Access& a, int lane, int size);
void watch_write(Warp& w, const Instruction& i, const Access& a, int lane, int size, const void* value, bool flight = false);
void watch_atomic(Warp& w, const Instruction& i, const Access& a, int lane, int size);
void land(Warp& w, const Copy& copy);
