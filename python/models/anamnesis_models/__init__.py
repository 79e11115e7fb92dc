# SPDX-License-Identifier: Apache-2.0
"""The program that runs models, for the package anamnesis-llm, which starts it."""
