"""The generated messages and services of `proto/cuvee/v1`; `make proto` writes this folder."""
