// SPDX-License-Identifier: MIT
// Optimal transport between weighted point clouds.
#pragma once
#include <sbi/ot/divergence.hpp>
#include <sbi/ot/exact.hpp>
#include <sbi/ot/gromov.hpp>
#include <sbi/ot/keypoint.hpp>
