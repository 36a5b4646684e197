/* SPDX-License-Identifier: Apache-2.0 */
/* Instructions for video: two or four integers in a word, each on its own. */
#include "ptx/family.h"

#include <string.h>

#define PRINT(...) arena_print(emitter->arena, __VA_ARGS__)

/* Signed or not: the type is that of an element, and .u32 or .s32 in its name. */
static bool is_signed(struct emitter *emitter)
{
    const struct ptx_type *type = emit_need_type(emitter);

    if (type->bits != 32 || (type->kind != TYPE_SIGNED && type->kind != TYPE_UNSIGNED))
        emit_fail(emitter, "%s is of .u32 and .s32", emitter->instruction->opcode);
    return type->kind == TYPE_SIGNED;
}

/* What device code calls the operation. vset compares, and says by what in a word. */
static const char *operation_of(struct emitter *emitter, const char *opcode, bool compares)
{
    static const struct {
        const char *word, *name;
    } known[] = {{"vadd", "PTX_VIDEO_ADD"}, {"vsub", "PTX_VIDEO_SUB"}, {"vavrg", "PTX_VIDEO_AVERAGE"},
                 {"vmin", "PTX_VIDEO_MIN"}, {"vmax", "PTX_VIDEO_MAX"}, {"vabsdiff", "PTX_VIDEO_DISTANCE"},
                 {"eq", "PTX_VIDEO_EQ"},    {"ne", "PTX_VIDEO_NE"},    {"lt", "PTX_VIDEO_LT"},
                 {"le", "PTX_VIDEO_LE"},    {"gt", "PTX_VIDEO_GT"},    {"ge", "PTX_VIDEO_GE"}};
    const char *comparison = compares ? emit_one_of(emitter, "eq ne lt le gt ge") : NULL;
    const char *word = comparison ? comparison : opcode;
    size_t length = strlen(word) - (comparison ? 0 : 1);

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strlen(known[i].word) == length && memcmp(known[i].word, word, length) == 0)
            return known[i].name;
    emit_fail(emitter, "%s of that kind is not known", opcode);
}

void emit_video(struct emitter *emitter)
{
    const char *opcode = emitter->instruction->opcode;
    bool compares = strncmp(opcode, "vset", 4) == 0, adds = emit_has(emitter, "add");
    bool d = compares ? false : is_signed(emitter), a = is_signed(emitter), b = is_signed(emitter);
    bool saturates = !compares && !adds && emit_has(emitter, "sat");
    const char *operation = operation_of(emitter, opcode, compares);

    emit_expect_count(emitter, 4, 4);
    emit_assign(emitter, emit_operand(emitter, 0), ptx_type_find("b32"),
                PRINT("ptx_video(%s, (struct ptx_video){%c, %u, %u, %u, %u, %u}, %s, %s, %s)", operation,
                      opcode[strlen(opcode) - 1], d, a, b, saturates, adds,
                      emit_u32(emitter, emit_operand(emitter, 1)),
                      emit_u32(emitter, emit_operand(emitter, 2)),
                      emit_u32(emitter, emit_operand(emitter, 3))));
}
