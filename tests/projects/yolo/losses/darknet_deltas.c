/* What Darknet's [yolo] layer hands back in training: reads cases from stdin, writes its deltas.

A case: int32 batch, height, width, masks, anchors, classes, boxes, kind (0: mse, 1: ciou,
2: adversarial); float32 scale_x_y,
iou_normalizer, iou_thresh, max_delta (0: none), input side; then int32 mask[masks], float32
anchors[2 * anchors], outputs [batch, masks, 5 + classes, height, width], truths [batch, boxes, 6]
(x, y, w, h, class, 0). See darknet_recipe.py. */

#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "network.h"
#include "yolo_layer.h"

static void take(void *to, size_t bytes) {
  if (fread(to, 1, bytes, stdin) != bytes) exit(1);
}

int main(void) {
  int sizes[8];
  FILE *out = fdopen(dup(1), "wb");
  if (!freopen("/dev/null", "w", stdout)) return 1;
  while (fread(sizes, sizeof(int), 8, stdin) == 8) {
    float rule[5];
    take(rule, sizeof rule);
    int *mask = calloc(sizes[3], sizeof(int));
    take(mask, sizes[3] * sizeof(int));
    layer l = make_yolo_layer(sizes[0], sizes[2], sizes[1], sizes[3], sizes[4], mask, sizes[5], sizes[6]);
    take(l.biases, 2 * sizes[4] * sizeof(float));
    l.iou_loss = sizes[7] == 1 ? CIOU : MSE;
    l.scale_x_y = rule[0];
    l.iou_normalizer = rule[1];
    l.iou_thresh = rule[2];
    l.max_delta = rule[3] ? rule[3] : FLT_MAX;
    l.obj_normalizer = l.cls_normalizer = 1;
    l.ignore_thresh = 0.7;
    l.truth_thresh = 1;
    int rewritten = 0, total = 0, iteration = 0;
    network_state state = {0};
    state.train = 1;
    state.net.adversarial = sizes[7] == 2;
    state.net.w = state.net.h = (int)rule[4];
    state.net.batch = sizes[0];
    state.net.subdivisions = 1;
    state.net.seen = (void *)calloc(1, sizeof(long));
    state.net.cur_iteration = &iteration;
    state.net.rewritten_bbox = &rewritten;
    state.net.total_bbox = &total;
    state.input = calloc(l.batch * l.outputs, sizeof(float));
    take(state.input, l.batch * l.outputs * sizeof(float));
    state.truth = calloc(l.batch * l.truths, sizeof(float));
    take(state.truth, l.batch * l.truths * sizeof(float));
    forward_yolo_layer(l, state);
    fwrite(l.delta, sizeof(float), l.batch * l.outputs, out);
  }
  fclose(out);
  return 0;
}
