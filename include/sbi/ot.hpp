// SPDX-License-Identifier: MIT
// Optimal transport between weighted point clouds. Which solver when: docs/transport.md.
#pragma once
#include <sbi/ot/barycentre.hpp>
#include <sbi/ot/barycentric.hpp>
#include <sbi/ot/batch.hpp>
#include <sbi/ot/divergence.hpp>
#include <sbi/ot/exact.hpp>
#include <sbi/ot/fused.hpp>
#include <sbi/ot/gromov.hpp>
#include <sbi/ot/gromov_barycentre.hpp>
#include <sbi/ot/implicit.hpp>
#include <sbi/ot/keypoint.hpp>
#include <sbi/ot/line.hpp>
#include <sbi/ot/low_rank.hpp>
#include <sbi/ot/partial.hpp>
#include <sbi/ot/sliced.hpp>
#include <sbi/ot/unbalanced_gromov.hpp>
