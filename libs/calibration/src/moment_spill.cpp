// SPDX-License-Identifier: Apache-2.0
#include "moment_spill.hpp"

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/io/file.hpp"
#include "anamnesis/restore/moments.hpp"

namespace anamnesis::calibration {
namespace {

/// A folder of its own among the temporary files, removed with what is in it.
class TemporaryFolder {
public:
    TemporaryFolder() {
        std::string name =
            (std::filesystem::temp_directory_path() / "anamnesis-moments-XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr) {
            throw io_error(format("making the folder {}", in_quotes(name)), errno);
        }
        path_ = name;
    }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    ~TemporaryFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }

    const std::filesystem::path& path() const noexcept { return path_; }

private:
    std::filesystem::path path_;
};

}  // namespace

void MomentSpill::put(const restore::MomentSet& moments) {
    const TemporaryFolder folder;
    const std::filesystem::path path = folder.path() / "moments.safetensors";
    io::File written = io::File::create(path);
    restore::write_moments(written, moments, Json::object());
    written.close();  // some errors of a disk come only now
    const auto file = std::make_shared<const restore::MomentFile>(restore::MomentFile::open(path));
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
