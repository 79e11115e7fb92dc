// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <CLI/CLI.hpp>

#include "options.hpp"

namespace anamnesis::app {

/// Options that several verbs share.
void declare(CLI::App& app, CommonOptions& options);
void declare(CLI::App& app, ReadingOptions& options);
void declare(CLI::App& app, ModelOptions& options);
void declare(CLI::App& app, HaystackOptions& options);

/// Verbs that measure, with all their options.
CLI::App* declare_verb(CLI::App& app, PromptsOptions& options);
CLI::App* declare_verb(CLI::App& app, NiahOptions& options);
CLI::App* declare_verb(CLI::App& app, ReasonOptions& options);
CLI::App* declare_verb(CLI::App& app, ReportOptions& options);

/// Verbs that measure.
CLI::App* declare_verb(CLI::App& app, GradeOptions& options);

/// Verbs that run a model, with all their options.
CLI::App* declare_verb(CLI::App& app, GenerateOptions& options);
CLI::App* declare_verb(CLI::App& app, LogitsOptions& options);
CLI::App* declare_verb(CLI::App& app, TrainOptions& options);

/// Verbs of the small models that the project trains itself.
CLI::App* declare_verb(CLI::App& app, ProbeOptions& options);
CLI::App* declare_verb(CLI::App& app, ReproduceOptions& options);
CLI::App* declare_verb(CLI::App& app, DemoOptions& options);

/// Verbs that look into a model.
CLI::App* declare_verb(CLI::App& app, GradientsOptions& options);
CLI::App* declare_verb(CLI::App& app, AttentionOptions& options);

}  // namespace anamnesis::app
