/* SPDX-License-Identifier: Apache-2.0 */
/* runtime_refuse for a source that must not see NVIDIA's prototypes. */
#ifndef CUDART_REFUSE_H
#define CUDART_REFUSE_H

/* Prints once per `printed` flag that `name` is not implemented, remembers and returns cudaErrorNotSupported.
 */
int runtime_refuse(const char *name, int *printed);

#endif
