"""U-Net: Ronneberger et al., U-Net: Convolutional Networks for Biomedical Image Segmentation, 2015."""


def build(torch):
    nn, F = torch.nn, torch.nn.functional

    class DoubleConv(nn.Module):
        def __init__(self, in_channels, out_channels):
            super().__init__()
            self.double_conv = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False),
                nn.BatchNorm2d(out_channels),
                nn.ReLU(inplace=True),
                nn.Conv2d(out_channels, out_channels, kernel_size=3, padding=1, bias=False),
                nn.BatchNorm2d(out_channels),
                nn.ReLU(inplace=True),
            )

        def forward(self, x):
            return self.double_conv(x)

    class Up(nn.Module):
        def __init__(self, in_channels, out_channels, bilinear):
            super().__init__()
            if bilinear:
                self.up = nn.Sequential(
                    nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
                    nn.Conv2d(in_channels, in_channels // 2, kernel_size=1),
                )
            else:
                self.up = nn.ConvTranspose2d(in_channels, in_channels // 2, kernel_size=2, stride=2)
            self.conv = DoubleConv(in_channels, out_channels)

        def forward(self, x1, x2):
            x1 = self.up(x1)
            dy, dx = x2.size(2) - x1.size(2), x2.size(3) - x1.size(3)
            x1 = F.pad(x1, [dx // 2, dx - dx // 2, dy // 2, dy - dy // 2])
            return self.conv(torch.cat([x2, x1], dim=1))

    class UNet(nn.Module):
        def __init__(self, in_channels, classes, width=4):
            super().__init__()
            self.inc = DoubleConv(in_channels, width)
            self.down1 = nn.Sequential(nn.MaxPool2d(2), DoubleConv(width, 2 * width))
            self.down2 = nn.Sequential(nn.MaxPool2d(2), DoubleConv(2 * width, 4 * width))
            self.up1 = Up(4 * width, 2 * width, bilinear=False)
            self.up2 = Up(2 * width, width, bilinear=True)
            self.outc = nn.Conv2d(width, classes, kernel_size=1)

        def forward(self, x):
            x1 = self.inc(x)
            x2 = self.down1(x1)
            x = self.up2(self.up1(self.down2(x2), x2), x1)
            return self.outc(x)

    def dice_loss(probabilities, target, eps=1e-6):
        inter = 2 * (probabilities * target).sum(dim=(-1, -2))
        sets = probabilities.sum(dim=(-1, -2)) + target.sum(dim=(-1, -2))
        return 1 - ((inter + eps) / (sets + eps)).mean()

    model = UNet(2, 1)

    def start():
        criterion = nn.BCEWithLogitsLoss()
        # a transposed convolution's bias before a batch norm has a tiny gradient, hence the large eps
        optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3, weight_decay=1e-6, momentum=0.9, eps=1e-4)

        def step(images, masks):
            model.train()
            logits = model(images)
            cross, dice = criterion(logits, masks), dice_loss(torch.sigmoid(logits).squeeze(1), masks.squeeze(1))
            optimizer.zero_grad()
            (cross + dice).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            return cross, dice

        return step

    return model, start


def batch(rng):
    images = rng.standard_normal((3, 2, 17, 22))
    return images, (images[:, :1] > 0.3).astype(float)
