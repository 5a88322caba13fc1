// SPDX-License-Identifier: MIT
#include <sbi/inference/trainer.hpp>

template sbi::FitReport sbi::detail::train_any(Cpu<float>&, nn::Parameters<float>&, AnyObjective<Cpu<float>>&,
                                               const FitOptions&);
