// SPDX-License-Identifier: Apache-2.0
#include "clean_names.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "anamnesis/base/json.hpp"
#include "anamnesis/checkpoint/checkpoint.hpp"
#include "anamnesis/checkpoint/model.hpp"
#include "anamnesis/formats/safetensors_writer.hpp"
#include "anamnesis/restore/plan.hpp"

#include "pairing.hpp"

namespace anamnesis::restore {
namespace {

bool are_of_one_class(const Plan& plan) {
    const Json* of_pre = plan.pre->checkpoint.config().find("architectures");
    const Json* of_post = plan.post->checkpoint.config().find("architectures");
    return of_pre != nullptr && of_post != nullptr && *of_pre == *of_post;
}

std::string choose_name(const Pairing& pairing,
                        bool is_one_class,
                        const checkpoint::TensorEntry& tensor) {
    const auto* counterpart = is_one_class ? pairing.find_pre(tensor.name) : nullptr;
    const bool is_usable =
        counterpart != nullptr && checkpoint::clean_name(counterpart->name) == counterpart->name &&
        checkpoint::canonical_name(counterpart->name) == checkpoint::canonical_name(tensor.name);
    return is_usable ? counterpart->name : checkpoint::clean_name(tensor.name);
}

}  // namespace

std::vector<std::string> choose_clean_names(const Plan& plan) {
    const Pairing pairing(*plan.pre, *plan.post);
    const bool is_one_class = are_of_one_class(plan);
    std::vector<std::string> names;
    for (const checkpoint::TensorEntry& tensor : plan.post->checkpoint.tensors()) {
        names.push_back(choose_name(pairing, is_one_class, tensor));
    }
    return names;
}

std::vector<RenamedFile> rename_files(const Plan& plan) {
    const std::vector<std::string> names = choose_clean_names(plan);
    const auto& files = plan.post->checkpoint.files();
    std::vector<std::vector<formats::TensorSpec>> tensors(files.size());
    std::vector<bool> is_renamed(files.size(), false);
    // By file, then offset: the order of the bytes.
    for (std::size_t i = 0; i < names.size(); ++i) {
        const checkpoint::TensorEntry& tensor = plan.post->checkpoint.tensors()[i];
        is_renamed[tensor.file] = is_renamed[tensor.file] || names[i] != tensor.name;
        tensors[tensor.file].push_back(
            {.name = names[i], .dtype = tensor.dtype, .shape = tensor.shape});
    }
    std::vector<RenamedFile> renamed(files.size());
    for (std::size_t i = 0; i < files.size(); ++i) {
        if (is_renamed[i]) {
            renamed[i].header =
                formats::make_safetensors_prologue(tensors[i], files[i].metadata).bytes;
            renamed[i].shift = static_cast<std::int64_t>(renamed[i].header.size()) -
                               static_cast<std::int64_t>(files[i].data_begin);
        }
    }
    return renamed;
}

}  // namespace anamnesis::restore
