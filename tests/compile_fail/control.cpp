// SPDX-License-Identifier: MIT
// expect: no error
#include <sbi/backend/cpu.hpp>

int main() { return sbi::Cpu<float>{1}.threads(); }
