// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "anamnesis/restore/moments.hpp"

namespace anamnesis::calibration {

/// Moments in files without a name, on the disk of temporary files (TMPDIR): gone with it, also
/// where the process is killed. Threads: const functions may run at once.
class MomentSpill final : public restore::MomentSource {
public:
    /// Takes moments that are not here yet. Errors: those of writing.
    void put(const restore::MomentSet& moments);

    bool has(const restore::MomentKey& key) const override { return files_.contains(key); }
    restore::Moment load(const restore::MomentKey& key) const override;
    std::vector<std::uint64_t> load_counts(const restore::MomentKey& key) const override;
    std::vector<restore::MomentKey> list_keys() const override;

private:
    const restore::MomentFile& find(const restore::MomentKey& key) const;

    std::map<restore::MomentKey, std::shared_ptr<const restore::MomentFile>> files_;
};

}  // namespace anamnesis::calibration
