// SPDX-License-Identifier: MIT
#include <sbi/inference/model_file.hpp>

namespace sbi {

template class Simformer<Cpu<float>, diffusion::VE>;
template class Posterior<Simformer<Cpu<float>, diffusion::VE>>;
template FitReport fit(Simformer<Cpu<float>, diffusion::VE>&, const Dataset&, const FitOptions&);
template void save(const Simformer<Cpu<float>, diffusion::VE>&, const std::filesystem::path&);
template Simformer<Cpu<float>, diffusion::VE> load_simformer(Cpu<float>, const std::filesystem::path&);

} // namespace sbi
