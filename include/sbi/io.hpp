// SPDX-License-Identifier: MIT
// Files and pictures. What needs an optional library comes with it: JSON files where nlohmann-json is there;
// FITS tables never, include <sbi/io/fits.hpp> for them.
#pragma once
#include <sbi/io/csv.hpp>
#include <sbi/io/files.hpp>
#include <sbi/io/npy.hpp>
#include <sbi/io/plot.hpp>
#if __has_include(<nlohmann/json.hpp>)
#include <sbi/io/results.hpp>
#include <sbi/io/safetensors.hpp>
#endif
