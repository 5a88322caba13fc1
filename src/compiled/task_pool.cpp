// SPDX-License-Identifier: MIT
#include <sbi/backend/task_pool_tbb.hpp>

template class sbi::detail::TaskPool<>;
