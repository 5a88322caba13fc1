// SPDX-License-Identifier: MIT
// The whole library but for what needs optional packages: reading models (sbi/inference/model_file.hpp),
// pictures and tables (sbi/io/...).
#pragma once
#include <sbi/diagnostics/coverage.hpp>
#include <sbi/diagnostics/crps.hpp>
#include <sbi/diagnostics/sbc.hpp>
#include <sbi/diagnostics/scores.hpp>
#include <sbi/diagnostics/summary.hpp>
#include <sbi/forward.hpp>
#include <sbi/inference/domain_objective.hpp>
#include <sbi/inference/model_write.hpp>
#include <sbi/inference/simformer.hpp>
#include <sbi/ot.hpp>
