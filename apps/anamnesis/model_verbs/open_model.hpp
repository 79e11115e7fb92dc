// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "anamnesis/runtime/hybrid_model.hpp"
#include "anamnesis/runtime/network.hpp"

#include "options/common.hpp"
#include "options/model.hpp"
#include "options/reading.hpp"

namespace anamnesis::app {

/// Opens, recognises and loads the model of a command line.
std::unique_ptr<runtime::HybridModel> open_model(const std::string& checkpoint,
                                                 const ModelOptions& options,
                                                 const ReadingOptions& reading,
                                                 const CommonOptions& common);

/// The same without what makes it write: to look into.
runtime::Network open_network(const std::string& checkpoint,
                              const ModelOptions& options,
                              const ReadingOptions& reading,
                              const CommonOptions& common);

}  // namespace anamnesis::app
