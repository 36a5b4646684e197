/* SPDX-License-Identifier: Apache-2.0 */
/* extension.cpp - a module of Python's in C++: `hold(bytes)` makes a vector, and says MemoryError when it cannot. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <new>
#include <vector>

static PyObject *hold(PyObject *, PyObject *bytes)
{
    try {
        std::vector<char> held(PyLong_AsSize_t(bytes), 'x');

        return PyLong_FromSize_t(held.size());
    } catch (const std::bad_alloc &) {
        return PyErr_NoMemory();
    }
}

static PyMethodDef methods[] = {{"hold", hold, METH_O, nullptr}, {nullptr, nullptr, 0, nullptr}};
static PyModuleDef module = {PyModuleDef_HEAD_INIT, "extension", nullptr, -1, methods,
                             nullptr,               nullptr,     nullptr, nullptr};

PyMODINIT_FUNC PyInit_extension()
{
    return PyModule_Create(&module);
}
