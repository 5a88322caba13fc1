// SPDX-License-Identifier: MIT
#include <sbi/compiled.hpp>

namespace sbi::compiled_with_the_same_march_as_the_program {
const int SBI_INSTRUCTION_SET = 1;
} // namespace sbi::compiled_with_the_same_march_as_the_program
