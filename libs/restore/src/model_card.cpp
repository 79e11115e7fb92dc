// SPDX-License-Identifier: Apache-2.0
#include "model_card.hpp"

#include <filesystem>
#include <string>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/restore/apply.hpp"

namespace anamnesis::restore {

std::string make_model_card_section(const Json& receipt) {
    const Json& request = receipt.at("request");
    std::string text = "\n\n## Repaired with Anamnesis\n\n";
    text += format(
        "Method `{}`: the routing rows listed in `{}` come from `{}`, everything else "
        "from `{}`.\n\n",
        request.at("method").as_string("method"),
        receipt_name,
        std::filesystem::path(receipt.at("pre").at("path").as_string("path")).filename().string(),
        std::filesystem::path(receipt.at("post").at("path").as_string("path")).filename().string());
    text += "| layer | part | drift before | drift after |\n|---|---|---|---|\n";
    for (const Json& row : receipt.at("drift").as_array("drift")) {
        const Json& layer = row.at("layer");
        text += format("| {} | {} | {:.4g} | {:.4g} |\n",
                       layer.is_null() ? std::string("-") : layer.dump(),
                       row.at("part").as_string("part"),
                       row.at("drift_before").as_double("drift"),
                       row.at("drift_after").as_double("drift"));
    }
    return text;
}

}  // namespace anamnesis::restore
