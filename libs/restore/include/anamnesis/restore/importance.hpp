// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "anamnesis/checkpoint/checkpoint.hpp"

namespace anamnesis::restore {

/// How much each input of a matrix counted when a calibration text ran, as llama.cpp collects it:
/// a GGUF file of general.type "imatrix" with sums of squares (NAME.in_sum2) and counts
/// (NAME.counts). Threads: any may ask.
class ImportanceMatrix {
public:
    /// Errors: `malformed` for a file of another kind, `mismatch` for sums without counts.
    static ImportanceMatrix open(const std::filesystem::path& path);

    /// One weight for each value of a row, matrix after matrix for a stack; empty where the file
    /// has none for the tensor. sum / count; 1 where a count is 0.
    /// Errors: `mismatch` for another number of inputs or of matrices.
    std::vector<float> find(const checkpoint::TensorEntry& tensor) const;

private:
    struct Weights {
        std::uint64_t columns = 0;
        std::vector<float> values;
    };

    std::filesystem::path path_;
    std::map<std::string, Weights, std::less<>> weights_;
};

}  // namespace anamnesis::restore
