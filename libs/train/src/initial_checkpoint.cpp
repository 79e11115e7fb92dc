// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/train/initial_checkpoint.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/random.hpp"
#include "anamnesis/base/shape.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/checkpoint/blueprint.hpp"
#include "anamnesis/checkpoint/config_reader.hpp"
#include "anamnesis/formats/safetensors_writer.hpp"
#include "anamnesis/io/atomic_file.hpp"

#include "name_stream.hpp"

namespace anamnesis::train {
namespace {

using checkpoint::Blueprint;
using checkpoint::ConfigReader;
using checkpoint::Initial;
using checkpoint::PlannedTensor;

/// Errors: `unsupported` for a family or a feature that does not run.
void refuse_incomplete(const Blueprint& blueprint) {
    if (blueprint.obstacle) {
        throw *blueprint.obstacle;
    }
    if (!blueprint.is_complete) {
        throw Error(ErrorKind::unsupported,
                    format("random weights are made for {}, not for {}",
                           join(checkpoint::families_that_run(), ", "),
                           in_quotes(blueprint.family)));
    }
    if (blueprint.vocabulary_size == 0) {
        throw Error(ErrorKind::malformed, "config.json has no key 'vocab_size'");
    }
}

bool is_written(const PlannedTensor& tensor) {
    return tensor.presence == checkpoint::Presence::required &&
           tensor.storage != checkpoint::Storage::stacked;
}

/// What decides how far weights are from zero.
struct Scale {
    Initialiser initialiser = Initialiser::range;
    double range = 0.0;
    double layers = 0.0;
};

double find_deviation(const PlannedTensor& tensor, const Scale& scale) {
    if (scale.initialiser == Initialiser::range) {
        return scale.range;
    }
    if (tensor.initial == Initial::embedding) {
        return 0.05;
    }
    const double deviation = 1.0 / std::sqrt(static_cast<double>(tensor.shape.back()));
    return tensor.initial == Initial::stream_matrix ? deviation / std::sqrt(2.0 * scale.layers)
                                                    : deviation;
}

/// No draft head is written, so none is declared.
Json without_draft_head(Json config) {
    for (const std::string_view key : {"mtp_num_hidden_layers", "num_nextn_predict_layers"}) {
        if (config.find(key) != nullptr) {
            config.set(key, 0);
        }
    }
    return config;
}

/// The type that config.json asks for.
DType read_dtype(const ConfigReader& config) {
    for (const char* key : {"dtype", "torch_dtype"}) {
        const auto name = config.find_word(key);
        if (!name) {
            continue;
        }
        if (*name == "bfloat16") {
            return DType::bf16;
        }
        if (*name != "float32") {
            throw Error(ErrorKind::unsupported,
                        format("random weights are made in float32 and bfloat16, not in {}",
                               in_quotes(*name)));
        }
    }
    return DType::f32;
}

/// ln of a rate between 0 and 16.
/// Source: Dao & Gu 2024, "Mamba-2", as Gated DeltaNet and its successors have it.
double make_log_rate(Random& random) {
    return std::log(16.0 * (1.0 - random.uniform()));
}

/// b with softplus(b) a step, whose logarithm is uniform between those of 0.001 and 0.1.
/// Source: as above.
double make_step_bias(Random& random) {
    const double least = std::log(0.001);
    const double step = std::exp(least + random.uniform() * (std::log(0.1) - least));
    return step + std::log(-std::expm1(-step));
}

/// r with e^-softplus(r) a decay, whose square is uniform between those of 0.9 and 0.999.
/// Source: De et al. 2024, "Griffin", section 2.4.
double make_decay_rate(Random& random) {
    const double square = 0.9 * 0.9 + random.uniform() * (0.999 * 0.999 - 0.9 * 0.9);
    return std::log(std::expm1(-0.5 * std::log(square)));
}

std::vector<double> make_values(const PlannedTensor& tensor, Random random, const Scale& scale) {
    std::vector<double> values(find_element_count(tensor.shape).value_or(0), 0.0);
    switch (tensor.initial) {
        case Initial::zeros:
            break;
        case Initial::ones:
            std::ranges::fill(values, 1.0);
            break;
        case Initial::log_rate:
            std::ranges::generate(values, [&] { return make_log_rate(random); });
            break;
        case Initial::log_ranks:
            for (std::size_t i = 0; i < values.size(); ++i) {
                values[i] = std::log(1.0 + static_cast<double>(i % tensor.shape.back()));
            }
            break;
        case Initial::decay_rate:
            std::ranges::generate(values, [&] { return make_decay_rate(random); });
            break;
        case Initial::step_bias:
            std::ranges::generate(values, [&] { return make_step_bias(random); });
            break;
        case Initial::embedding:
        case Initial::matrix:
        case Initial::stream_matrix:
        case Initial::kernel: {
            const double deviation = find_deviation(tensor, scale);
            std::ranges::generate(values, [&] { return deviation * random.normal(); });
            break;
        }
    }
    return values;
}

std::string make_name(const Blueprint& blueprint, const PlannedTensor& tensor) {
    return tensor.is_in_body ? blueprint.prefix + tensor.name : tensor.name;
}

}  // namespace

void write_initial_checkpoint(const Json& config,
                              Initialiser initialiser,
                              std::uint64_t seed,
                              const std::filesystem::path& folder) {
    const Blueprint blueprint = checkpoint::make_blueprint(config);
    refuse_incomplete(blueprint);
    const ConfigReader reader(config);
    const DType dtype = read_dtype(reader);
    const Scale scale{.initialiser = initialiser,
                      .range = reader.find_number("initializer_range").value_or(0.02),
                      .layers = static_cast<double>(blueprint.layers.size())};
    std::vector<const PlannedTensor*> written;
    std::vector<formats::TensorSpec> specs;
    for (const PlannedTensor& tensor : blueprint.tensors) {
        if (is_written(tensor)) {
            written.push_back(&tensor);
            specs.push_back(
                {.name = make_name(blueprint, tensor), .dtype = dtype, .shape = tensor.shape});
        }
    }
    const auto prologue = formats::make_safetensors_prologue(specs, {{"format", "pt"}});
    std::filesystem::create_directories(folder);
    io::AtomicFile file{folder / "model.safetensors"};
    file.file().write_at(0, std::as_bytes(std::span(prologue.bytes)));
    for (std::size_t i = 0; i < written.size(); ++i) {
        const Random random = make_name_stream(seed, specs[i].name);
        const std::vector<double> values = make_values(*written[i], random, scale);
        std::vector<std::byte> bytes(values.size() * element_bytes(dtype));
        narrow(dtype, values, bytes);
        file.file().write_at(prologue.bytes.size() + prologue.offsets[i], bytes);
    }
    file.commit();
    io::write_text_atomically(folder / "config.json", without_draft_head(config).dump(2) + "\n");
}

}  // namespace anamnesis::train
