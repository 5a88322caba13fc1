// SPDX-License-Identifier: MIT
// The stellar forward model that needs no file: initial mass, main sequence, atmospheres, dust, passbands,
// photometry, survey noise, and the simulator made of them. The readers of tables (isochrones, spectra,
// passband files) are headers of their own in sbi/forward/, because they link with zlib and CFITSIO.
#pragma once
#include <sbi/forward/atmosphere.hpp>
#include <sbi/forward/concepts.hpp>
#include <sbi/forward/constants.hpp>
#include <sbi/forward/dust.hpp>
#include <sbi/forward/imf.hpp>
#include <sbi/forward/noise.hpp>
#include <sbi/forward/passband.hpp>
#include <sbi/forward/photometry.hpp>
#include <sbi/forward/stars.hpp>
#include <sbi/forward/tout.hpp>
