// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <string>

#include "anamnesis/base/error.hpp"
#include "anamnesis/language/language_model.hpp"

#include "load_model.hpp"

namespace anamnesis::app {

std::unique_ptr<language::LanguageModel> load_model(const std::string& /*checkpoint*/,
                                                    const ModelOptions& /*how*/,
                                                    const ReadingOptions& /*reading*/,
                                                    const CommonOptions& /*common*/) {
    throw Error(ErrorKind::internal, "this program runs no model");
}

}  // namespace anamnesis::app
