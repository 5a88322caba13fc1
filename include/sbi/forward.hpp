// SPDX-License-Identifier: MIT
// The stellar forward model, all of it that needs no file: populations (mass functions, multiplicity,
// clusters, the Milky Way), evolution, atmospheres, dust, instruments, noise and selection, and the surveys
// made of them; young stellar objects. The readers of tables (isochrones, tracks, spectra, passbands, dust
// maps, instruments, SED cubes: *_file.hpp) are headers of their own in sbi/forward/, because they link with
// zlib or CFITSIO; the instruments of Gaia's XP spectra (xp_*.hpp) cannot do without theirs, and
// synthesis_op.hpp puts observations on the tape.
#pragma once
#include <sbi/forward/atmosphere.hpp>
#include <sbi/forward/atmosphere_range.hpp>
#include <sbi/forward/black_body.hpp>
#include <sbi/forward/chabrier.hpp>
#include <sbi/forward/cluster.hpp>
#include <sbi/forward/cluster_prior.hpp>
#include <sbi/forward/concepts.hpp>
#include <sbi/forward/constants.hpp>
#include <sbi/forward/distortion.hpp>
#include <sbi/forward/dust.hpp>
#include <sbi/forward/dust_fitzpatrick.hpp>
#include <sbi/forward/dust_g23.hpp>
#include <sbi/forward/dust_map.hpp>
#include <sbi/forward/galaxy.hpp>
#include <sbi/forward/imf.hpp>
#include <sbi/forward/isochrone.hpp>
#include <sbi/forward/joined_evolution.hpp>
#include <sbi/forward/line_of_sight.hpp>
#include <sbi/forward/membership.hpp>
#include <sbi/forward/multiplicity.hpp>
#include <sbi/forward/noise.hpp>
#include <sbi/forward/passband.hpp>
#include <sbi/forward/photometry.hpp>
#include <sbi/forward/resampled_grid.hpp>
#include <sbi/forward/sed_cube.hpp>
#include <sbi/forward/sed_photometry.hpp>
#include <sbi/forward/spectrograph.hpp>
#include <sbi/forward/stars.hpp>
#include <sbi/forward/survey.hpp>
#include <sbi/forward/survey_sample.hpp>
#include <sbi/forward/tabulated_atmosphere.hpp>
#include <sbi/forward/tout.hpp>
#include <sbi/forward/track_grid.hpp>
#include <sbi/forward/yso.hpp>
#include <sbi/forward/yso_class.hpp>
