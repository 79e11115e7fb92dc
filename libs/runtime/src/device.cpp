// SPDX-License-Identifier: Apache-2.0
#include "anamnesis/runtime/device.hpp"

#include <charconv>
#include <string>
#include <string_view>
#include <system_error>

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <c10/util/Exception.h>

#include "anamnesis/base/error.hpp"
#include "anamnesis/base/parallel.hpp"
#include "anamnesis/base/text.hpp"

namespace anamnesis::runtime {

at::Device device_of(const std::string& name) {
    if (name == "cpu") {
        return at::kCPU;
    }
    constexpr std::string_view cuda = "cuda";
    int index = 0;
    bool is_cuda = name.starts_with(cuda);
    if (is_cuda && name.size() > cuda.size()) {
        const char* end = name.data() + name.size();
        const auto [rest, error] = std::from_chars(name.data() + cuda.size() + 1, end, index);
        is_cuda = name[cuda.size()] == ':' && error == std::errc{} && rest == end && index >= 0 &&
                  index < 64;
    }
    if (!is_cuda) {
        throw Error(
            ErrorKind::usage,
            format("device {} is not known, expected cpu, cuda or cuda:N", in_quotes(name)));
    }
    if (!at::hasCUDA()) {
        throw Error(ErrorKind::unsupported,
                    format("device {} is not there: no CUDA device, or this LibTorch is a build "
                           "for the CPU",
                           in_quotes(name)));
    }
    return {at::kCUDA, static_cast<at::DeviceIndex>(index)};
}

void use_threads(unsigned threads) {
    at::set_num_threads(static_cast<int>(threads == 0 ? available_threads() : threads));
}

Error error_of(const c10::Error& error) {
    const std::string text = error.what_without_backtrace();
    const bool is_memory = text.find("not enough memory") != std::string::npos ||
                           text.find("out of memory") != std::string::npos;
    return {is_memory ? ErrorKind::exhausted : ErrorKind::internal, "LibTorch: " + text};
}

}  // namespace anamnesis::runtime
