// SPDX-License-Identifier: Apache-2.0
#include "settings_table.hpp"

#include "anamnesis/base/text.hpp"
#include "anamnesis/eval/run_folder.hpp"
#include "anamnesis/report/document.hpp"

namespace anamnesis::eval {

report::Table settings_table(const RunRecord& run) {
    report::Table table{
        .caption = "", .columns = {"setting", "value"}, .is_number = {}, .rows = {}};
    for (const auto& [key, value] : run.settings.as_object("settings")) {
        table.rows.push_back({key, value.is_string() ? value.as_string(key) : value.dump()});
    }
    // A row a field: a page's edge cuts off what is longer.
    for (const auto& [name, what] : run.checkpoints.as_object("checkpoints")) {
        for (const auto& [key, value] : what.as_object("a checkpoint")) {
            table.rows.push_back({format("{}: {}", name, key),
                                  value.is_string() ? value.as_string(key) : value.dump()});
        }
    }
    return table;
}

}  // namespace anamnesis::eval
