/* SPDX-License-Identifier: Apache-2.0 */
/* A Python extension module that does the work when it is imported. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "way.h"

PyMODINIT_FUNC PyInit_way_extension(void);

PyMODINIT_FUNC PyInit_way_extension(void)
{
    static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "way_extension", .m_size = -1};
    const char *complaint = way_driver();

    if (complaint)
        return PyErr_Format(PyExc_RuntimeError, "%s", complaint);
    return PyModule_Create(&module);
}
