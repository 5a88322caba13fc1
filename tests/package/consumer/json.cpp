// SPDX-License-Identifier: MIT
#include <sbi/io/results.hpp>

int main() {
  sbi::io::Results results;
  results.set("score", 0.5);
  results.write("results.json");
}
