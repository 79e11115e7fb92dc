// SPDX-License-Identifier: Apache-2.0
#include "model_card.hpp"

#include <filesystem>
#include <string>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/text.hpp"
#include "anamnesis/restore/apply.hpp"

namespace anamnesis::restore {

namespace {

std::string find_name(const Json& source) {
    return std::filesystem::path(source.at("path").as_string("path")).filename().string();
}

}  // namespace

std::string make_model_card_section(const Json& receipt) {
    const Json& request = receipt.at("request");
    std::string text = "\n\n## Repaired with Anamnesis\n\n";
    if (const Json* adapter = receipt.find("adapter")) {
        return text + format(
                          "The adapter `{}` merged into `{}`; of the rows listed in `{}` method "
                          "`{}` took back what the adapter had done to them.\n",
                          find_name(*adapter),
                          find_name(receipt.at("pre")),
                          receipt_name,
                          request.at("method").as_string("method"));
    }
    text += format(
        "Method `{}`: the routing rows listed in `{}` come from `{}`, everything else "
        "from `{}`.\n\n",
        request.at("method").as_string("method"),
        receipt_name,
        find_name(receipt.at("pre")),
        find_name(receipt.at("post")));
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
