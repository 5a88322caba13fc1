// SPDX-License-Identifier: MIT
#include <sbi/inference/model_read.hpp>

template sbi::io::Safetensors sbi::io::Safetensors::parse(std::string_view, std::string);
template sbi::io::Safetensors sbi::io::Safetensors::read(const std::filesystem::path&);
template sbi::detail::ModelRecord sbi::detail::read_record(const std::filesystem::path&, const std::string&);
