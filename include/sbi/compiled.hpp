// SPDX-License-Identifier: MIT
// What a program that links sbi::compiled gets by the macro SBI_COMPILED, which that target defines: models
// of the common types, training and reading of files are declared here and there to be in the library, so the
// program's own files compile in a fraction of the time. Nothing else changes, and nothing extra is included.
//
// The width of vectors and fused products follow the instruction set that a file is compiled for. Program and
// library of two of them would put two meanings of one function into a program; so every file asks for a
// symbol that names its instruction set, and a library of another one lacks it: the program does not link.
#pragma once

#ifdef SBI_COMPILED
#if defined(__AVX512F__)
#define SBI_INSTRUCTION_SET avx512
#elif defined(__AVX__) && defined(__FMA__)
#define SBI_INSTRUCTION_SET avx_fma
#elif defined(__AVX__)
#define SBI_INSTRUCTION_SET avx
#else
#define SBI_INSTRUCTION_SET baseline
#endif

namespace sbi::compiled_with_the_same_march_as_the_program {
extern const int SBI_INSTRUCTION_SET;
[[gnu::used]] static const int* const wanted = &SBI_INSTRUCTION_SET;
} // namespace sbi::compiled_with_the_same_march_as_the_program
#endif
