// SPDX-License-Identifier: Apache-2.0
#include "moment_spill.hpp"

#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/restore/moments.hpp"

namespace anamnesis::calibration {

void MomentSpill::put(const restore::MomentSet& moments) {
    static std::atomic<unsigned> count{0};
    const std::filesystem::path path =
        std::filesystem::temp_directory_path() /
        format("anamnesis-moments-{}-{}.safetensors", ::getpid(), count++);
    restore::write_moments(path, moments, Json::object());
    const auto file = std::make_shared<const restore::MomentFile>(restore::MomentFile::open(path));
    std::filesystem::remove(path);
    for (const restore::MomentKey& key : moments.list_keys()) {
        files_[key] = file;
    }
}

const restore::MomentFile& MomentSpill::find(const restore::MomentKey& key) const {
    const auto found = files_.find(key);
    if (found == files_.end()) {
        throw Error(ErrorKind::not_found,
                    format("there is no moment {}", in_quotes(restore::to_string(key))));
    }
    return *found->second;
}

restore::Moment MomentSpill::load(const restore::MomentKey& key) const {
    return find(key).load(key);
}

std::vector<std::uint64_t> MomentSpill::load_counts(const restore::MomentKey& key) const {
    return find(key).load_counts(key);
}

std::vector<restore::MomentKey> MomentSpill::list_keys() const {
    std::vector<restore::MomentKey> keys;
    for (const auto& [key, _] : files_) {
        keys.push_back(key);
    }
    return keys;
}

}  // namespace anamnesis::calibration
