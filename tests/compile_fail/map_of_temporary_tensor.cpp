// SPDX-License-Identifier: MIT
// expect: as_eigen
#include <sbi/core/adapt.hpp>

int main() { return static_cast<int>(sbi::as_eigen(sbi::Tensor<float>(sbi::Shape{2, 2})).rows()); }
