// SPDX-License-Identifier: MIT
// expect: conversion from 'View<
#include <sbi/core/view.hpp>

int main() {
  const sbi::View<const float> x = sbi::View<float, sbi::Device>{};
  return x.shape.rank();
}
