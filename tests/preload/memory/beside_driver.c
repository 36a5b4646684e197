/* SPDX-License-Identifier: Apache-2.0 */
/* Stands for a library that NVIDIA ships beside the driver: only the name of its file counts. */
__attribute__((visibility("default"))) const char beside_driver[] = "beside the driver";
