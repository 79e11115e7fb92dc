// SPDX-License-Identifier: Apache-2.0
//
// Pairs whose W_Q and W_K cannot belong together, one way or another.
#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "anamnesis/base/json.hpp"
#include "anamnesis/base/random.hpp"

#include "field_kinds.hpp"
#include "run_command.hpp"
#include "value_checkpoint.hpp"

namespace anamnesis::testing {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

using Change = std::function<void(ValueTensor&)>;

class RowDoubts : public FieldKinds {
protected:
    static ValueTensors change_routing(ValueTensors tensors,
                                       const Change& change,
                                       const std::string& of = "_proj") {
        for (ValueTensor& tensor : tensors) {
            if (is_routing_weight(tensor.name) && tensor.name.find(of) != std::string::npos) {
                change(tensor);
            }
        }
        return tensors;
    }
    static Change times(double factor) {
        return [factor](ValueTensor& tensor) {
            for (double& value : tensor.values) {
                value *= factor;
            }
        };
    }
    static void expect_told(const ValueTensors& pre,
                            const ValueTensors& post,
                            const std::string& code,
                            const std::string& text) {
        write_values("pre", config_of_values(), pre);
        write_values("post", config_of_values(), post);
        const CommandResult strict = restore({"--strict"});
        EXPECT_EQ(strict.exit_code, 6) << strict.output << strict.errors;
        const CommandResult result = restore();
        EXPECT_EQ(result.exit_code, 0) << result.errors;
        EXPECT_THAT(result.output + result.errors, HasSubstr(text));
        for (const std::vector<std::string>& words :
             {std::vector<std::string>{"drift", "--pre", "pre", "--post", "post", "--json"},
              std::vector<std::string>{"doctor", "pre", "post", "--json"}}) {
            std::vector<std::string> codes;
            const Json json = Json::parse(command(words).output);
            for (const Json& finding : json.at("findings").as_array("findings")) {
                codes.push_back(finding.at("code").as_string("code"));
            }
            EXPECT_THAT(codes, Contains(code)) << words.front();
        }
    }
    const ValueTensors pre_ = make_llama_values();
    const ValueTensors post_ = make_llama_values(0.3);
};

TEST_F(RowDoubts, AreNoneOfAFineTune) {
    write_values("pre", config_of_values(), pre_);
    // The farthest that the damaged layers of the demo go.
    write_values("post", config_of_values(), make_llama_values(0.5));
    const CommandResult result = restore({"--strict"});
    EXPECT_EQ(result.exit_code, 0) << result.errors;
}

TEST_F(RowDoubts, AreToldOfZerosAndOtherSizes) {
    expect_told(change_routing(pre_, times(0.0)), post_, "sizes_differ", "is all zeros in pre");
    expect_told(pre_, change_routing(post_, times(0.0)), "sizes_differ", "is all zeros in post");
    expect_told(change_routing(pre_, times(1e6)),
                post_,
                "sizes_differ",
                "times as large in pre as in post");
    expect_told(pre_,
                change_routing(post_, times(1000.0)),
                "sizes_differ",
                "times as large in post as in pre");
    // One matrix of one layer is enough.
    expect_told(change_routing(pre_, times(8.0), "layers.1.self_attn.k_proj"),
                post_,
                "sizes_differ",
                "W_K of layer 1");
}

TEST_F(RowDoubts, AreToldOfOneMatrixByItself) {
    expect_told(pre_, change_routing(post_, times(-1.0)), "distant_rows", "W_Q and W_K");
    const Change unrelated = [](ValueTensor& tensor) {
        Random random(tensor.name.size() + tensor.values.size());
        for (double& value : tensor.values) {
            value = 0.05 * random.normal();
        }
    };
    expect_told(change_routing(pre_, unrelated, "q_proj"),
                post_,
                "distant_rows",
                "the rows of W_Q in pre and post");
    // The rows of W_K in another order of heads.
    const Change turned = [](ValueTensor& tensor) {
        std::ranges::rotate(tensor.values, tensor.values.begin() + 16 * 64);
    };
    expect_told(pre_,
                change_routing(post_, turned, "k_proj"),
                "distant_rows",
                "the rows of W_K in pre and post");
}

}  // namespace
}  // namespace anamnesis::testing
