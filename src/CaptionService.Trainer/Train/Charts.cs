using TorchSharp;

namespace CaptionService.Trainer.Train;

/// <summary>The run's figures as TensorBoard reads them: <c>tensorboard --logdir FOLDER</c>. A file for each attempt, no step twice.</summary>
internal sealed class Charts(string folder) : IDisposable
{
    private TorchSharp.Modules.SummaryWriter? _writer;      // made with the first figure

    public void Add(long step, params IEnumerable<(string Name, double Value)> figures)
    {
        _writer ??= torch.utils.tensorboard.SummaryWriter(folder, createRunName: false);
        foreach (var (name, value) in figures)
        {
            if (double.IsFinite(value))
                _writer.add_scalar(name, (float)value, (int)step);
        }
    }

    public void Dispose() => (_writer as IDisposable)?.Dispose();
}
