// SPDX-License-Identifier: MIT
// expect: sbi: nothing in an arena is ever destroyed
#include <sbi/core/arena.hpp>

#include <string>

int main() {
  sbi::Arena arena;
  return arena.array<std::string>(1) == nullptr;
}
