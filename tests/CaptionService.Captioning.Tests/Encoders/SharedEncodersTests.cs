using CaptionService.Captioning.Encoders;
using CaptionService.Captioning.Models;
using Xunit;
using static TorchSharp.torch;

namespace CaptionService.Captioning.Tests.Encoders;

public sealed class SharedEncodersTests
{
    [Fact]
    public void Models_with_the_same_weights_share_one_encoder_until_the_last_is_gone()
    {
        using var one = new SmallBundle("top-down", 1);
        using var other = new SmallBundle("show-and-tell", 2);
        var photo = Photo.Decode(File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "samples", "224", "cat.png")));
        var encoders = new SharedEncoders();
        var first = CaptionModel.Load(one.Folder, encoders: encoders);
        long before = Tensor.TotalCount;
        var second = CaptionModel.Load(other.Folder, encoders: encoders);
        second.WarmUp();
        Assert.True(Tensor.TotalCount < before + 20, $"{Tensor.TotalCount - before} tensors more: a second encoder");

        string alone = second.Caption([photo], [new CaptionOptions()]).Photos[0][0].Text;
        first.Dispose();

        Assert.Equal(alone, second.Caption([photo], [new CaptionOptions()]).Photos[0][0].Text);
        second.Dispose();
        second.Dispose();
    }

    [Fact]
    public void Models_that_change_the_last_block_alike_share_it()
    {
        using var one = new SmallBundle("top-down", 1);
        using var other = new SmallBundle("top-down", 2);
        using (var adapter = new EncoderAdapter(2))
        {
            using (no_grad())
                adapter.Factors(28).B.normal_(std: 0.01);
            foreach (var bundle in new[] { one, other })
            {
                using var plain = ModelBundle.Load(bundle.Folder);
                BundleWriter.Save(bundle.Folder, plain.Card, plain.Vocabulary, plain.Decoder, null, adapter);
            }
        }
        var photo = Photo.Decode(File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "samples", "224", "cat.png")));
        var encoders = new SharedEncoders();
        using var first = CaptionModel.Load(one.Folder, encoders: encoders);
        var second = CaptionModel.Load(other.Folder, encoders: encoders);
        second.WarmUp();
        var together = Captioner.Caption([new CaptionJob(photo, new CaptionOptions(), first), new CaptionJob(photo, new CaptionOptions(), second)]);
        Assert.Same(first.Conv5, second.Conv5);         // what a batch is grouped by
        using var alone = CaptionModel.Load(other.Folder);
        Assert.Equal(alone.Caption([photo], [new CaptionOptions()]).Photos[0][0].Text, together.Photos[1][0].Text);

        string before = first.Caption([photo], [new CaptionOptions()]).Photos[0][0].Text;
        second.Dispose();
        Assert.Equal(before, first.Caption([photo], [new CaptionOptions()]).Photos[0][0].Text);
    }

    [Theory]
    [InlineData("top-down")]
    [InlineData("show-attend-and-tell")]
    [InlineData("show-and-tell")]
    public void A_model_that_comes_and_goes_leaves_no_tensor(string architecture)
    {
        using var bundle = new SmallBundle(architecture);
        var encoders = new SharedEncoders();
        using var stays = CaptionModel.Load(bundle.Folder, encoders: encoders);
        stays.WarmUp();
        // A tensor that becomes a parameter hands its memory over and stays in the count.
        long before = Tensor.TotalCount;
        SmallBundle.Create(architecture).Dispose();
        long handedOver = Tensor.TotalCount - before;
        before = Tensor.TotalCount;
        for (int i = 0; i < 5; i++)
        {
            using var captioner = CaptionModel.Load(bundle.Folder, encoders: encoders);
            captioner.WarmUp();
        }
        Assert.Equal(before + 5 * handedOver, Tensor.TotalCount);
    }
}
