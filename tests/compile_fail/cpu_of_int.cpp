// SPDX-License-Identifier: MIT
// expect: sbi: Cpu<T> wants float or double
#include <sbi/backend/cpu.hpp>

int main() { return sbi::Cpu<int>{1}.threads(); }
