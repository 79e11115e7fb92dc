// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "anamnesis/base/dtype.hpp"
#include "anamnesis/base/error.hpp"
#include "anamnesis/base/half.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/random.hpp"
#include "anamnesis/formats/safetensors.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/linalg/matrix_view.hpp"

namespace anamnesis::restore::golden {

/// Where a golden file lies: in the repository, else in the shared collection, else nowhere.
inline std::optional<std::filesystem::path> find(const std::string& name) {
    for (const std::filesystem::path& root :
         {std::filesystem::path(ANAMNESIS_TESTDATA),
          std::filesystem::path(ANAMNESIS_SHARED) / "data/golden/surgery"}) {
        if (std::filesystem::exists(root / name)) {
            return root / name;
        }
    }
    return std::nullopt;
}

inline Json read_json_file(const std::filesystem::path& path) {
    return Json::parse(io::read_text(path));
}

/// A tensor's bytes as they are stored.
struct Stored {
    DType dtype = DType::f32;
    std::size_t rows = 0;
    std::size_t columns = 0;
    std::vector<std::byte> bytes;

    /// The values in float64; a vector is one row.
    linalg::Matrix values() const {
        linalg::Matrix result(rows, columns);
        widen(dtype, bytes, result.values());
        return result;
    }
};

/// The tensors of one file, or of all safetensors files of a folder.
class Tensors {
public:
    explicit Tensors(const std::filesystem::path& path) {
        if (!std::filesystem::is_directory(path)) {
            files_.push_back(formats::SafetensorsFile::open(path));
        } else {
            for (const auto& entry : std::filesystem::directory_iterator(path)) {
                if (entry.path().extension() == ".safetensors") {
                    files_.push_back(formats::SafetensorsFile::open(entry.path()));
                }
            }
        }
    }

    bool has(const std::string& name) const {
        for (const formats::SafetensorsFile& file : files_) {
            if (file.find(name) != nullptr) {
                return true;
            }
        }
        return false;
    }

    Stored stored(const std::string& name) const {
        for (const formats::SafetensorsFile& file : files_) {
            if (const formats::TensorInfo* info = file.find(name)) {
                Stored result{.dtype = info->dtype, .rows = 1, .columns = 1, .bytes = {}};
                for (std::size_t i = 0; i < info->shape.size(); ++i) {
                    (i + 1 < info->shape.size() ? result.rows : result.columns) *= info->shape[i];
                }
                result.bytes.resize(info->data.size());
                file.file().read_at(file.data_begin() + info->data.begin(), result.bytes);
                return result;
            }
        }
        throw Error(ErrorKind::not_found, "no tensor " + name);
    }

    linalg::Matrix values(const std::string& name) const { return stored(name).values(); }

private:
    std::vector<formats::SafetensorsFile> files_;
};

}  // namespace anamnesis::restore::golden

namespace anamnesis::restore {

inline linalg::Matrix random_rows(std::size_t rows, std::size_t columns, std::uint64_t seed) {
    Random random(seed);
    linalg::Matrix result(rows, columns);
    for (double& value : result.values()) {
        // Weights are float32 at best: so are these.
        value = static_cast<float>(random.normal() * 0.3);
    }
    return result;
}

inline double largest_difference(linalg::MatrixView<const double> a,
                                 linalg::MatrixView<const double> b) {
    double largest = 0.0;
    for (std::size_t i = 0; i < a.rows(); ++i) {
        for (std::size_t j = 0; j < a.columns(); ++j) {
            const double distance = a(i, j) > b(i, j) ? a(i, j) - b(i, j) : b(i, j) - a(i, j);
            // Also true for a NaN.
            largest = distance <= largest ? largest : distance;
        }
    }
    return largest;
}

}  // namespace anamnesis::restore
