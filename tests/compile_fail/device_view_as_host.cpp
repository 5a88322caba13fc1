// SPDX-License-Identifier: MIT
// expect: sum
#include <sbi/core/view.hpp>

float sum(sbi::View<const float> x) { return x(0, 0); }

int main() { return static_cast<int>(sum(sbi::View<float, sbi::Device>{})); }
